# Simulated clusters.  The linker gives every allocation to the simulated node that makes it (tests/sim/memory.c).
SIM_WRAP := $(foreach f,alloc calloc realloc free strndup strdup,-Wl,--wrap=mem_$(f))
SIM_SEEDS ?= 200
$(B)/sim: $(B)/tests/sim/main.o $(B)/libsim.a $(ARCHIVES)
	$(if $(V),,@echo "  CC $@")
	$(Q)$(CC) $(CFLAGS_ALL) $(LDFLAGS_MODE) $(SIM_WRAP) -o $@ $< $(call GROUP,$(ARCHIVES) $(B)/libsim.a) $(LIBS)
sim: $(B)/sim ## build the simulator of whole clusters
.PHONY: sim
