# The client of the failover demo: librdkafka and OpenSSL, no part of the broker but common/.
DEMO_OBJ := $(patsubst %.c,$(B)/%.o,$(sort $(wildcard deploy/demo/*.c)))
$(B)/deploy/demo/%.o: deploy/demo/%.c | build/inc/.done
	@mkdir -p $(@D)
	$(if $(V),,@echo "  CC $@")
	$(Q)$(CC) $(CFLAGS_ALL) -D_GNU_SOURCE -Ibuild/inc/common -iquote . -MMD -MP -c -o $@ $<
$(B)/failover-client: $(DEMO_OBJ) $(B)/libcommon.a
	$(if $(V),,@echo "  CC $@")
	$(Q)$(CC) $(CFLAGS_ALL) $(LDFLAGS_MODE) -o $@ $^ -lrdkafka -lcrypto -pthread

DEMO_NEEDS += $(B)/failover-client $(B)/probe
CHECK_NEEDS += $(B)/failover-client $(B)/probe

# The checker's own test.
CHECK_C += $(B)/test_verdict
$(B)/test_verdict.o: tests/integration/test_verdict.c | build/inc/.done
	@mkdir -p $(@D)
	$(if $(V),,@echo "  CC $@")
	$(Q)$(CC) $(CFLAGS_ALL) -D_GNU_SOURCE -Ibuild/inc/common -iquote . -MMD -MP -c -o $@ $<
$(B)/test_verdict: $(B)/test_verdict.o $(B)/deploy/demo/verdict.o $(B)/libcommon.a
	$(if $(V),,@echo "  CC $@")
	$(Q)$(CC) $(CFLAGS_ALL) $(LDFLAGS_MODE) -o $@ $^ -lcrypto -pthread $(shell pkg-config --libs check 2>/dev/null || echo -lcheck -lsubunit -lrt -lm)
