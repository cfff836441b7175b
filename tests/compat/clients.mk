# The client matrix (tests/compat/clients/matrix.sh). Its fast part belongs to `make check`.
CLIENT_LIBRDKAFKA_OBJ := $(patsubst %.c,$(B)/%.o,$(sort $(wildcard tests/compat/clients/librdkafka/*.c)))
$(B)/client-librdkafka: $(CLIENT_LIBRDKAFKA_OBJ) $(B)/libcommon.a
	$(if $(V),,@echo "  CC $@")
	$(Q)$(CC) $(CFLAGS_ALL) $(LDFLAGS_MODE) -o $@ $^ -lrdkafka -pthread

CHECK_NEEDS += $(B)/client-librdkafka
COMPAT_RUN += tests/compat/clients/test_run_limited.sh tests/compat/clients/fast_kcat.sh tests/compat/clients/fast_librdkafka.sh
compat: ## everything of tests/compat: Kafka's own programs, the same requests, the client matrix (needs Java, Maven, Python, Go, Node)
	@$(MAKE) --no-print-directory MODE=release all $(CHECK_NEEDS)
	tests/run.sh -t 7200 $(COMPAT) $(COMPAT_LOG) $(COMPAT_LONG) tests/compat/clients/matrix.sh; status=$$?; \
	  tests/compat/clients/report.py && exit $$status
NIGHTLY += compat
.PHONY: compat
