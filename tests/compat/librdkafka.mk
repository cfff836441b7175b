# librdkafka's own test-suite on Apache Kafka and on Skiff: more than an hour, and a built checkout that LIBRDKAFKA names.
check-librdkafka: all $(INTEGRATION_NEEDS) ## run librdkafka's own tests (LIBRDKAFKA=CHECKOUT; needs Java and Maven)
	tests/run.sh -t 10000 tests/compat/librdkafka_tests.sh
NIGHTLY += check-librdkafka
.PHONY: check-librdkafka
