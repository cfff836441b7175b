# Simulated clusters.  The linker gives every allocation to the simulated node that makes it (tests/sim/memory.c).
SIM_WRAP := $(foreach f,alloc calloc realloc free strndup strdup,-Wl,--wrap=mem_$(f))
SIM_SEEDS ?= 200
$(B)/sim: $(B)/tests/sim/main.o $(B)/libsim.a $(ARCHIVES)
	$(if $(V),,@echo "  CC $@")
	$(Q)$(CC) $(CFLAGS_ALL) $(LDFLAGS_MODE) $(SIM_WRAP) -o $@ $< $(call GROUP,$(ARCHIVES) $(B)/libsim.a) $(LIBS)
CHECK_C += $(B)/sim
sim: $(B)/sim ## build the simulator of whole clusters
check-sim: $(B)/sim ## whole clusters under faults, 200 seeds (SIM_SEEDS=N)
	SIM_SEEDS=$(SIM_SEEDS) tests/run.sh $<
# Planted bugs (common/mutant.h), each with the faults that bring it out where chance takes long: some of at most 3,000 seeds must find it.
# A stale flush is hunted in the transcripts of one partition: a replica asks its leader for nothing while it flushes, and so cuts nothing.
MUTANTS := hw_ignores_own_flush truncate_to_watermark isr_shrink_without_cas fenced_leader_acks hw_of_committed_isr \
           fetch_before_flush vote_before_flush:vote,kill wiped_voter_votes:amnesia
check-mutants: check-mutants-raft ## planted bugs in whole clusters: each must be found
	$(MAKE) MODE=mutants CFLAGS=-DSKIFF_MUTANTS build/mutants/sim
	for m in $(MUTANTS); do case $$m in *:*) faults="--faults $${m#*:}";; *) faults=;; esac; \
	    build/mutants/sim --runs 3000 --mutant $${m%%:*} $$faults || exit 1; done
NIGHTLY += check-mutants
.PHONY: sim check-sim check-mutants
$(B)/tests/sim/programs/group_sim: $(B)/tests/sim/programs/group_sim.o $(B)/libsim.a $(ARCHIVES)
	$(if $(V),,@echo "  CC $@")
	$(Q)$(CC) $(CFLAGS_ALL) $(LDFLAGS_MODE) $(SIM_WRAP) -o $@ $< $(call GROUP,$(ARCHIVES) $(B)/libsim.a) $(LIBS)
CHECK_C += $(B)/tests/sim/programs/group_sim
GROUP_MUTANTS := coordinator_without_lease removal_without_leader_epoch
check-mutants-groups: ## planted bugs that only groups or quick moves of replicas bring to light: they must be found
	$(MAKE) MODE=mutants CFLAGS=-DSKIFF_MUTANTS build/mutants/tests/sim/programs/group_sim
	for m in $(GROUP_MUTANTS); do build/mutants/tests/sim/programs/group_sim --seeds 1-1000 --mutant $$m || exit 1; done
check-mutants: check-mutants-groups
check-sim-groups: $(B)/tests/sim/programs/group_sim ## consumer groups under faults, 40 seeds
	tests/run.sh $<
.PHONY: check-sim-groups check-mutants-groups
