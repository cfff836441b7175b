# Bytes from Apache Kafka's own classes: the file is committed, and made again by `make golden` (Java and Maven).
CHECK_C += $(B)/tests/golden/check_golden
$(B)/tests/golden/check_golden: $(B)/tests/golden/check_golden.o $(B)/libproto.a $(B)/libcommon.a
	$(if $(V),,@echo "  CC $@")
	$(Q)$(CC) $(CFLAGS_ALL) $(LDFLAGS_MODE) -o $@ $^ $(LIBS)
check-golden: $(B)/tests/golden/check_golden ## Kafka's own bytes decode and encode to the same bytes
	tests/run.sh $<
golden: ## write tests/golden/messages.gz with Kafka's own classes
	source tests/compat/kafka-env.sh && missing=$$(kafka_missing) && [ -z "$$missing" ] || { echo "$$missing"; exit 1; }; \
	  java -cp "$$kafka_dir/libs/*" tests/golden/Golden.java tests/golden/messages.gz
.PHONY: golden check-golden
