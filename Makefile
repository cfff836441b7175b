# Skiff: build, tests, demo.  `make help` lists the targets.
#
# Every layer is one static archive that sees only the folders it may include (build/inc/LAYER holds links to them), so a
# dependency that points the wrong way does not compile.  Sources are found by folder: a new file needs no line here.

MODE   ?= release
ifeq ($(origin CC),default)
CC     := gcc
endif
# make V=1 prints the commands
Q      := $(if $(V),,@)
B      := build/$(MODE)
GEN    := build/gen
.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SECONDARY:
SHELL  := /bin/bash

# ---- compilers and flags (docs/STYLE.md) -----------------------------------------------------------------------------
CC_IS_CLANG := $(shell $(CC) --version 2>/dev/null | grep -q clang && echo 1)
WARN := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wstrict-prototypes -Wmissing-prototypes \
        -Wold-style-definition -Wvla -Wundef -Wformat=2 -Wcast-qual -Wwrite-strings -Wpointer-arith -Wnull-dereference \
        -Wswitch-enum -Wimplicit-fallthrough -Wdouble-promotion -Wframe-larger-than=16384 -Wdate-time
ifneq ($(CC_IS_CLANG),1)
WARN += -Wlogical-op -Wduplicated-cond -Wduplicated-branches -Wcast-align=strict -Wjump-misses-init -Warith-conversion \
        -Wtrampolines -Wstack-usage=16384 -Wimplicit-fallthrough=5
INIT_ZERO := -ftrivial-auto-var-init=zero
endif
ifeq ($(WERROR),1)
WARN += -Werror
endif
BASE   := -std=c17 -g3 -fno-omit-frame-pointer -fno-common -fno-strict-aliasing -fvisibility=hidden -pthread
HARDEN := -fstack-protector-strong -fstack-clash-protection -fcf-protection=full -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3 $(INIT_ZERO)
LDHARD := -pie -Wl,-z,relro,-z,now,-z,noexecstack
SAN_asan := -fsanitize=address,undefined -fno-sanitize-recover=all
SAN_tsan := -fsanitize=thread
SAN_fuzz := -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all
ifeq ($(MODE),release)
CFLAGS_MODE := -O2 $(HARDEN) -fPIE
LDFLAGS_MODE := $(LDHARD)
else ifeq ($(MODE),debug)
CFLAGS_MODE := -O0 -DSKIFF_VERIFY=1
else ifeq ($(MODE),cov)
CFLAGS_MODE := -O0 --coverage -DSKIFF_VERIFY=1
LDFLAGS_MODE := --coverage
else
CFLAGS_MODE := -O1 $(SAN_$(MODE)) -DSKIFF_VERIFY=1
LDFLAGS_MODE := $(SAN_$(MODE))
endif
# Generated and third-party-shaped code is compiled without our warning set.
CFLAGS_ALL = $(BASE) $(CFLAGS_MODE) $(WARN) $(CFLAGS)
CFLAGS_GEN = $(BASE) $(CFLAGS_MODE) -w $(CFLAGS)
LIBS := -luv -lssl -lcrypto -lzstd -llz4 -lz -lprotobuf-c -ldl -pthread

# ---- layers: name, folder, what it may include -----------------------------------------------------------------------
LAYERS := common io proto raft metadata cnode log replica coordinator security handlers bnode admin cli
DIR_common := common
DIR_io := common/io
DIR_proto := proto
DIR_raft := controller/raft
DIR_metadata := controller/metadata
DIR_cnode := controller/node
DIR_log := broker/log
DIR_replica := broker/replica
DIR_coordinator := broker/coordinator
DIR_security := broker/security
DIR_handlers := broker/handlers
DIR_bnode := broker/node
DIR_admin := broker/admin
DIR_cli := broker/cli
SEES_common := common
SEES_io := common
SEES_proto := common proto
SEES_raft := common proto controller/raft
SEES_metadata := common proto controller/metadata
SEES_cnode := common proto controller
SEES_log := common proto broker/log
SEES_replica := common proto broker/log broker/replica
SEES_coordinator := common proto broker/coordinator
SEES_security := common proto broker/security controller/metadata
SEES_handlers := common proto controller/metadata broker
SEES_bnode := common proto controller/metadata broker
SEES_admin := common proto controller broker
SEES_cli := common proto controller broker
SEES_tests := common proto controller broker tests
SEES_main := common proto controller broker
# Layers that may touch the system: the purity line (DESIGN section 2).
IMPURE := io admin cli
PURE := $(filter-out $(IMPURE),$(LAYERS))

SRC = $(sort $(wildcard $(DIR_$(1))/*.c))
OBJ = $(patsubst %.c,$(B)/%.o,$(filter-out proto/kmsgc.c,$(call SRC,$(1))))

# ---- generated sources: build/gen ------------------------------------------------------------------------------------
KMSG := $(sort $(wildcard proto/schema/*.kmsg))
PB   := $(sort $(wildcard proto/*.proto))
PB_H := $(patsubst proto/%.proto,$(GEN)/gen/%.pb-c.h,$(PB))
PB_O := $(patsubst proto/%.proto,$(B)/gen/%.pb-c.o,$(PB))
ifneq ($(KMSG),)
GEN_H += $(GEN)/gen/kmsg.h
GEN_O += $(B)/gen/kmsg.o
endif
GEN_H += $(PB_H)
GEN_O += $(PB_O)

build/kmsgc: proto/kmsgc.c
	@mkdir -p $(@D)
	$(if $(V),,@echo "  CC $@")
	$(Q)$(CC) $(BASE) -O1 $(WARN) -o $@ $<
$(GEN)/gen/kmsg.h: build/kmsgc $(KMSG)
	@mkdir -p $(@D)
	$(if $(V),,@echo "  KM $@")
	$(Q)build/kmsgc $(GEN)/gen/kmsg $(KMSG)
$(GEN)/gen/kmsg.c: $(GEN)/gen/kmsg.h ;
$(GEN)/gen/%.pb-c.h: proto/%.proto
	@mkdir -p $(@D)
	$(if $(V),,@echo "  PB $@")
	$(Q)protoc-c -Iproto --c_out=$(@D) $<
$(GEN)/gen/%.pb-c.c: $(GEN)/gen/%.pb-c.h ;
$(B)/gen/%.o: $(GEN)/gen/%.c $(GEN_H) | build/inc/.done
	@mkdir -p $(@D)
	$(if $(V),,@echo "  CC $@")
	$(Q)$(CC) $(CFLAGS_GEN) -Ibuild/inc/proto -I$(GEN) -I$(GEN)/gen -MMD -MP -c -o $@ $<

# ---- include views ---------------------------------------------------------------------------------------------------
# Made while this file is read: as a recipe, they would be gone for a moment in which a parallel make looks for the headers behind
# them, finds none, and takes everything that includes them for up to date.
VIEWS := $(CURDIR) $(foreach l,$(LAYERS) tests main,$(addprefix $(l)/,$(SEES_$(l))))
ifneq ($(filter-out clean help,$(or $(MAKECMDGOALS),all)),)
ifneq ($(shell cat build/inc/.done 2>/dev/null),$(strip $(VIEWS)))
$(shell rm -rf build/inc; $(foreach v,$(wordlist 2,$(words $(VIEWS)),$(VIEWS)),mkdir -p build/inc/$(dir $(v)); \
  ln -sfn $(CURDIR)/$(patsubst $(firstword $(subst /, ,$(v)))/%,%,$(v)) build/inc/$(v);) echo '$(strip $(VIEWS))' >build/inc/.done)
endif
endif

define LAYER_RULES
$(B)/$(DIR_$(1))/%.o: $(DIR_$(1))/%.c $(GEN_H) | build/inc/.done
	@mkdir -p $$(@D)
	$$(if $$(V),,@echo "  CC $$@")
	$$(Q)$$(CC) $$(CFLAGS_ALL) $(if $(filter $(1),$(IMPURE)),-D_GNU_SOURCE) -Ibuild/inc/$(1) -I$(GEN) -MMD -MP -c -o $$@ $$<
$(B)/lib$(1).a: $(call OBJ,$(1)) $(if $(filter proto,$(1)),$(GEN_O))
	@mkdir -p $$(@D)
	@rm -f $$@
	$$(Q)$$(AR) rcs $$@ $$^
endef
$(foreach l,$(LAYERS),$(eval $(call LAYER_RULES,$(l))))
ARCHIVES := $(foreach l,$(LAYERS),$(B)/lib$(l).a)
PURE_ARCHIVES := $(foreach l,$(PURE),$(B)/lib$(l).a)
GROUP = -Wl,--start-group $(1) -Wl,--end-group

$(B)/broker/main.o: broker/main.c $(GEN_H) | build/inc/.done
	@mkdir -p $(@D)
	$(if $(V),,@echo "  CC $@")
	$(Q)$(CC) $(CFLAGS_ALL) -D_GNU_SOURCE -Ibuild/inc/main -I$(GEN) -MMD -MP -c -o $@ $<
$(B)/skiff: $(B)/broker/main.o $(ARCHIVES)
	$(if $(V),,@echo "  CC $@")
	$(Q)$(CC) $(CFLAGS_ALL) $(LDFLAGS_MODE) -o $@ $< $(call GROUP,$(ARCHIVES)) $(LIBS)

# ---- tests -----------------------------------------------------------------------------------------------------------
$(B)/tests/%.o: tests/%.c $(GEN_H) | build/inc/.done
	@mkdir -p $(@D)
	$(if $(V),,@echo "  CC $@")
	$(Q)$(CC) $(CFLAGS_ALL) -D_GNU_SOURCE -Ibuild/inc/tests -I$(GEN) -MMD -MP -c -o $@ $<
SIM_OBJ := $(patsubst %.c,$(B)/%.o,$(filter-out tests/sim/main.c,$(sort $(wildcard tests/sim/*.c))))
$(B)/libsim.a: $(SIM_OBJ)
	@mkdir -p $(@D)
	@rm -f $@
	$(Q)$(AR) rcs $@ $^
UNIT := $(patsubst tests/unit/%.c,$(B)/tests/unit/%,$(sort $(wildcard tests/unit/test_*.c)))
$(B)/tests/unit/%: $(B)/tests/unit/%.o $(ARCHIVES) $(B)/libsim.a
	$(if $(V),,@echo "  CC $@")
	$(Q)$(CC) $(CFLAGS_ALL) $(LDFLAGS_MODE) -o $@ $< $(call GROUP,$(ARCHIVES) $(B)/libsim.a) $(LIBS) $(shell pkg-config --libs check 2>/dev/null || echo -lcheck -lsubunit -lrt -lm)
unit: $(UNIT) ## build the unit tests
check-unit: $(UNIT) ## run the unit tests (MODE=asan|tsan for sanitizers)
	tests/run.sh $(UNIT)

# Pieces by folder: tests/*/*.mk and deploy/*.mk add to CHECK_C (programs built with MODE), CHECK_RUN (scripts) and COMPAT_RUN,
# and to NIGHTLY (targets of the long set).
-include $(sort $(wildcard tests/*/*.mk deploy/*.mk))
check-build: $(UNIT) $(CHECK_C)

demo: ## install what is missing, build, run three nodes and kill the leader
	@deploy/deps.sh demo
	@$(MAKE) --no-print-directory demo-run
demo-run: all $(DEMO_NEEDS)
	@deploy/failover-demo.sh
check: ## install what is missing, build, run the tests (the fast set)
	@deploy/deps.sh tests
	@$(MAKE) --no-print-directory MODE=release all $(CHECK_NEEDS)
	@$(MAKE) --no-print-directory MODE=asan check-build
	@$(MAKE) --no-print-directory MODE=asan check-run
check-run:
	@$(MAKE) --no-print-directory MODE=release check-purity
	@tests/run.sh $(UNIT) $(CHECK_C) $(CHECK_RUN) $(COMPAT_RUN)
nightly: ## the long set: many seeds, planted bugs, fuzzing, thread sanitizer, lint
	@$(MAKE) --no-print-directory check SIM_SEEDS=2000 AMNESIA_ROUNDS=50 TEST_TIMEOUT=1800
	@$(MAKE) --no-print-directory $(NIGHTLY)
	@$(MAKE) --no-print-directory MODE=tsan unit
	@$(MAKE) --no-print-directory MODE=tsan check-unit
	@$(MAKE) --no-print-directory fuzz lint
deps: ## install the Debian packages that build and tests need
	@deploy/deps.sh tests

# ---- checks ----------------------------------------------------------------------------------------------------------
check-purity: $(PURE_ARCHIVES) ## no I/O, clock, randomness or thread symbol below the purity line
	tests/tidy/purity.sh $(PURE_ARCHIVES)
check-headers: $(GEN_H) build/inc/.done ## every header compiles alone
	tests/tidy/headers.sh "$(CC)" "$(BASE) $(WARN)"
lint: check-headers check-purity ## static analysis: gcc -fanalyzer, clang-tidy, cppcheck; our own rules
	tests/tidy/lint.sh
format-check: ## clang-format would change nothing
	clang-format --dry-run -Werror $(shell git ls-files '*.c' '*.h')

# deploy/local-cluster.sh asks the nodes through the probe.
all: $(B)/skiff $(B)/probe ## build the skiff binary (MODE=release|debug|asan|tsan|cov)
clean: ## remove build/
	rm -rf build
help: ## list the targets
	@grep -hE '^[a-z][a-z-]*:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  \1\t\2/' | expand -t 18
.PHONY: nightly all clean help unit demo demo-run check check-run check-build check-unit check-purity check-headers deps format-check lint

-include $(shell find $(B) -name '*.d' 2>/dev/null)
