# Nodes whose disks fail on demand.
$(B)/disk-fault.so: tests/fault/disk_fault.c
	@mkdir -p $(@D)
	$(if $(V),,@echo "  CC $@")
	$(Q)$(CC) -std=c17 -O2 -g $(WARN) -D_GNU_SOURCE -fPIC -shared -fvisibility=hidden -o $@ $< -ldl

FAULT := tests/fault/disk_full.sh tests/fault/sync_error.sh
CHECK_NEEDS += $(B)/disk-fault.so
CHECK_RUN += $(FAULT)
check-fault: all $(INTEGRATION_NEEDS) $(B)/disk-fault.so ## run the tests with failing disks
	tests/run.sh $(FAULT)
.PHONY: check-fault
