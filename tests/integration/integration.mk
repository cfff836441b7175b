# The probe, and tests with real processes.
WIRE_OBJ := $(B)/tests/integration/wire.o $(B)/libcommon.a
$(B)/probe: $(B)/tests/integration/probe.o $(WIRE_OBJ)
	$(if $(V),,@echo "  CC $@")
	$(Q)$(CC) $(CFLAGS_ALL) $(LDFLAGS_MODE) -o $@ $^
