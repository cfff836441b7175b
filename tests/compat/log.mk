# Apache Kafka's DumpLogSegments reads what our log writes.
$(B)/write-log: $(B)/tests/compat/write_log.o $(B)/liblog.a $(B)/libproto.a $(B)/libio.a $(B)/libcommon.a
	$(if $(V),,@echo "  CC $@")
	$(Q)$(CC) $(CFLAGS_ALL) $(LDFLAGS_MODE) -o $@ $< $(call GROUP,$(filter %.a,$^)) $(LIBS)

COMPAT_LOG := tests/compat/dump_log.sh
COMPAT_RUN += $(COMPAT_LOG)
CHECK_NEEDS += $(B)/write-log
check-dump-log: $(B)/write-log ## let Apache Kafka's DumpLogSegments judge our files (needs Java and Maven)
	tests/run.sh -t 300 $(COMPAT_LOG)
.PHONY: check-dump-log
