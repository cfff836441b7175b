# Whole nodes on the simulator's network.
$(B)/tests/fuzz/fuzz_connection: $(SIM_OBJ)
