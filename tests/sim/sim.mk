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
# Planted bugs (common/mutant.h): some of at most 3,000 seeds must find each. Those of Raft are hunted in
# the clusters of Raft alone, and a stale flush in the transcripts of one partition: whole clusters rarely truncate while they flush.
MUTANTS := hw_ignores_own_flush truncate_to_watermark isr_shrink_without_cas fenced_leader_acks hw_of_committed_isr \
           fetch_before_flush
check-mutants: check-mutants-raft ## planted bugs in whole clusters: each must be found
	$(MAKE) MODE=mutants CFLAGS=-DSKIFF_MUTANTS build/mutants/sim
	for m in $(MUTANTS); do build/mutants/sim --runs 3000 --mutant $$m || exit 1; done
NIGHTLY += check-mutants
.PHONY: sim check-sim check-mutants
