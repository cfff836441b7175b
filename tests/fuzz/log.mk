# The log's harness runs on the simulator's disk.
$(B)/tests/fuzz/fuzz_log_recovery: $(SIM_OBJ)
