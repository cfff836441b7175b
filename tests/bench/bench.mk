# The benchmark beside Apache Kafka: no part of `make check`.
$(B)/load: $(B)/tests/bench/load.o $(B)/tests/bench/raw.o $(B)/tests/integration/wire.o $(B)/libcommon.a
	$(if $(V),,@echo "  CC $@")
	$(Q)$(CC) $(CFLAGS_ALL) $(LDFLAGS_MODE) -o $@ $^
$(B)/floor: $(B)/tests/bench/floor.o $(B)/libcommon.a
	$(if $(V),,@echo "  CC $@")
	$(Q)$(CC) $(CFLAGS_ALL) $(LDFLAGS_MODE) -o $@ $^
bench: all $(B)/load $(B)/floor $(B)/probe $(B)/failover-client ## measure beside Apache Kafka in one run (Maven and Java for its column)
	tests/bench/bench.sh
.PHONY: bench
