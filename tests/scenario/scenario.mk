# Raft's transcripts (tests/scenario/scenario_raft.c).
SCENARIO_RAFT := $(B)/tests/scenario/scenario_raft
$(SCENARIO_RAFT): $(B)/tests/scenario/scenario_raft.o $(B)/tests/scenario/raft_stage.o $(B)/libraft.a $(B)/libcommon.a
	$(if $(V),,@echo "  CC $@")
	$(Q)$(CC) $(CFLAGS_ALL) $(LDFLAGS_MODE) -o $@ $(filter %.o,$^) $(call GROUP,$(filter %.a,$^)) $(LIBS)
check-scenario: $(SCENARIO_RAFT) ## play the transcripts of tests/scenario
	tests/run.sh $<
CHECK_C += $(SCENARIO_RAFT)
.PHONY: check-scenario
