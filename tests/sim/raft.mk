# Raft clusters in the simulator (tests/sim/programs/raft_sim.c).
$(B)/tests/sim/programs/raft_sim: $(B)/tests/sim/programs/raft_sim.o $(PURE_ARCHIVES) $(B)/libsim.a
	$(if $(V),,@echo "  CC $@")
	$(Q)$(CC) $(CFLAGS_ALL) $(LDFLAGS_MODE) -o $@ $< $(call GROUP,$(B)/libsim.a $(PURE_ARCHIVES)) $(LIBS)
check-sim-raft: $(B)/tests/sim/programs/raft_sim ## Raft under faults, 200 seeds
	tests/run.sh $<
.PHONY: check-sim-raft
