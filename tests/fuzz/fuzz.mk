# Every tests/fuzz/fuzz_NAME.c is a libFuzzer harness.  `make check` replays its corpus (tests/fuzz/corpus/NAME) with any
# compiler; `make fuzz` looks for new inputs with clang, FUZZ_SECONDS for each, and keeps them in build/fuzz/corpus/NAME.
FUZZ := $(patsubst tests/fuzz/%.c,%,$(sort $(wildcard tests/fuzz/fuzz_*.c)))
FUZZ_SECONDS ?= 60
FUZZ_LIMITS := -rss_limit_mb=512 -malloc_limit_mb=64 -timeout=5
FUZZ_SHARED := $(B)/tests/fuzz/message.o
ifeq ($(MODE),fuzz)
FUZZ_MAIN :=
FUZZ_LINK := -fsanitize=fuzzer
else
FUZZ_MAIN := $(B)/tests/fuzz/replay.o
CHECK_C += $(FUZZ:%=$(B)/tests/fuzz/%)
endif
$(B)/tests/fuzz/fuzz_%: $(B)/tests/fuzz/fuzz_%.o $(FUZZ_SHARED) $(FUZZ_MAIN) $(ARCHIVES)
	$(if $(V),,@echo "  CC $@")
	$(Q)$(CC) $(CFLAGS_ALL) $(LDFLAGS_MODE) $(FUZZ_LINK) -o $@ $(filter %.o,$^) $(call GROUP,$(ARCHIVES)) $(LIBS)
$(B)/tests/fuzz/canary: $(B)/tests/fuzz/canary.o $(B)/libcommon.a
	$(Q)$(CC) $(CFLAGS_ALL) $(LDFLAGS_MODE) $(FUZZ_LINK) -o $@ $^
fuzz-programs: $(FUZZ:%=$(B)/tests/fuzz/%) $(B)/tests/fuzz/canary
check-fuzz: $(FUZZ:%=$(B)/tests/fuzz/%) ## replay the committed fuzzing inputs and variants of them
	tests/run.sh $^
fuzz: ## look for new faults: clang, FUZZ_SECONDS=60 for each harness
	@$(MAKE) --no-print-directory CC=clang MODE=fuzz fuzz-programs
	@tests/fuzz/fuzz.sh $(FUZZ_SECONDS) "$(FUZZ_LIMITS)" $(FUZZ)
.PHONY: fuzz fuzz-programs check-fuzz
