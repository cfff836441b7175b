# Raft clusters in the simulator (tests/sim/programs/raft_sim.c).
$(B)/tests/sim/programs/raft_sim: $(B)/tests/sim/programs/raft_sim.o $(PURE_ARCHIVES) $(B)/libsim.a
	$(if $(V),,@echo "  CC $@")
	$(Q)$(CC) $(CFLAGS_ALL) $(LDFLAGS_MODE) $(SIM_WRAP) -o $@ $< $(call GROUP,$(B)/libsim.a $(PURE_ARCHIVES)) $(LIBS)
check-sim-raft: $(B)/tests/sim/programs/raft_sim ## Raft under faults, 200 seeds
	tests/run.sh $<
RAFT_MUTANTS := vote_before_flush leader_counts_unflushed commit_of_old_term wiped_voter_votes truncate_without_conflict \
                recovered_without_commit replaced_at_once
check-mutants-raft: ## planted bugs in Raft: each must be found
	$(MAKE) MODE=mutants CFLAGS=-DSKIFF_MUTANTS build/mutants/tests/sim/programs/raft_sim
	for m in $(RAFT_MUTANTS); do build/mutants/tests/sim/programs/raft_sim --seeds 1-4000 --mutant $$m || exit 1; done
CHECK_C += $(B)/tests/sim/programs/raft_sim
NIGHTLY += check-mutants-raft nightly-sim-raft
nightly-sim-raft: $(B)/tests/sim/programs/raft_sim
	$< --seeds 1000-6000
.PHONY: check-sim-raft check-mutants-raft nightly-sim-raft

# Its crashes take the process's memory, too.
$(B)/tests/unit/test_raft_store: private LDFLAGS_MODE := $(LDFLAGS_MODE) $(SIM_WRAP)
