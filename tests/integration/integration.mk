# Programs for tests with real processes, and the scenarios (every script here but the library).
WIRE_OBJ := $(B)/tests/integration/wire.o $(B)/libcommon.a
$(B)/probe: $(B)/tests/integration/probe.o $(WIRE_OBJ)
	$(if $(V),,@echo "  CC $@")
	$(Q)$(CC) $(CFLAGS_ALL) $(LDFLAGS_MODE) -o $@ $^
$(B)/admin: $(B)/tests/integration/admin.o $(B)/libcommon.a
	$(if $(V),,@echo "  CC $@")
	$(Q)$(CC) $(CFLAGS_ALL) $(LDFLAGS_MODE) -o $@ $^ -lrdkafka -pthread
$(B)/tear: $(B)/tests/integration/tear.o $(B)/libcommon.a
	$(if $(V),,@echo "  CC $@")
	$(Q)$(CC) $(CFLAGS_ALL) $(LDFLAGS_MODE) -o $@ $^
$(B)/bad-input: $(B)/tests/integration/bad_input.o $(WIRE_OBJ)
	$(if $(V),,@echo "  CC $@")
	$(Q)$(CC) $(CFLAGS_ALL) $(LDFLAGS_MODE) -o $@ $^

$(B)/group-watch: $(B)/tests/integration/group_watch.o $(WIRE_OBJ)
	$(if $(V),,@echo "  CC $@")
	$(Q)$(CC) $(CFLAGS_ALL) $(LDFLAGS_MODE) -o $@ $^
$(B)/limits: $(B)/tests/integration/limits.o $(WIRE_OBJ)
	$(if $(V),,@echo "  CC $@")
	$(Q)$(CC) $(CFLAGS_ALL) $(LDFLAGS_MODE) -o $@ $^
$(B)/scrape: $(B)/tests/integration/scrape.o
	$(if $(V),,@echo "  CC $@")
	$(Q)$(CC) $(CFLAGS_ALL) $(LDFLAGS_MODE) -o $@ $^
$(B)/hostile: $(B)/tests/integration/hostile.o $(B)/tests/integration/wire.o $(ARCHIVES)
	$(if $(V),,@echo "  CC $@")
	$(Q)$(CC) $(CFLAGS_ALL) $(LDFLAGS_MODE) -o $@ $(filter %.o,$^) $(call GROUP,$(ARCHIVES)) $(LIBS)
$(B)/request-limits: $(B)/tests/integration/request_limits.o $(B)/tests/integration/wire.o $(ARCHIVES)
	$(if $(V),,@echo "  CC $@")
	$(Q)$(CC) $(CFLAGS_ALL) $(LDFLAGS_MODE) -o $@ $(filter %.o,$^) $(call GROUP,$(ARCHIVES)) $(LIBS)
INTEGRATION_NEEDS := $(B)/limits $(B)/hostile $(B)/request-limits $(B)/scrape $(B)/group-watch $(B)/probe $(B)/admin $(B)/tear $(B)/bad-input $(B)/failover-client
INTEGRATION := $(filter-out %/lib.sh %/crowd.sh,$(sort $(wildcard tests/integration/*.sh)))
CHECK_NEEDS += $(INTEGRATION_NEEDS)
CHECK_RUN += $(INTEGRATION)

check-integration: all $(INTEGRATION_NEEDS) ## run the tests with real processes
	tests/run.sh $(INTEGRATION)
check-amnesia: all $(INTEGRATION_NEEDS) ## the amnesia test at its full length: 50 rounds
	AMNESIA_ROUNDS=50 tests/run.sh -t 900 tests/integration/amnesia.sh
nightly-limits: all $(INTEGRATION_NEEDS)
	LIMITS_FRAME_BYTES=1000000 BUDGET_ROUNDS=10 tests/run.sh -t 1800 tests/integration/request_limits.sh tests/integration/request_budget.sh
NIGHTLY += nightly-limits
.PHONY: check-integration check-amnesia nightly-limits
# sanitized_nodes.sh runs the server with sanitizers, which `make check` builds for the unit tests anyway.
ifeq ($(MODE),asan)
check-build: $(B)/skiff
endif
