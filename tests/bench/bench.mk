# The benchmark beside Apache Kafka: no part of `make check`.
LOAD_OBJ := $(patsubst %,$(B)/tests/bench/%.o,load load_groups load_scale open_loop members process raw)
$(B)/load: $(LOAD_OBJ) $(B)/tests/integration/wire.o $(B)/libcommon.a
	$(if $(V),,@echo "  CC $@")
	$(Q)$(CC) $(CFLAGS_ALL) $(LDFLAGS_MODE) -o $@ $^
$(B)/floor: $(B)/tests/bench/floor.o $(B)/libcommon.a
	$(if $(V),,@echo "  CC $@")
	$(Q)$(CC) $(CFLAGS_ALL) $(LDFLAGS_MODE) -o $@ $^
bench: all $(B)/load $(B)/floor $(B)/probe $(B)/failover-client ## measure beside Apache Kafka in one run (Maven and Java for its column)
	tests/bench/bench.sh
.PHONY: bench
