# Planted bugs (common/mutant.h) in the replica's state machine: its transcripts must notice each.
MUTANTS_PARTITION := hw_ignores_own_flush hw_of_committed_isr isr_shrink_without_cas fenced_leader_acks stale_flush_counts \
                     fetch_before_flush join_of_old_incarnation truncate_to_watermark
check-mutants-partition: ## planted bugs in the replica: the transcripts must notice each
	$(MAKE) MODE=mutants CFLAGS=-DSKIFF_MUTANTS build/mutants/tests/unit/test_partition
	build/mutants/tests/unit/test_partition
	for m in $(MUTANTS_PARTITION); do \
	  if MUTANT=$$m build/mutants/tests/unit/test_partition >/dev/null 2>&1; then echo "not ok - mutant $$m lives"; exit 1; fi; \
	  echo "ok - mutant $$m dies"; done
check-mutants: check-mutants-partition
.PHONY: check-mutants-partition
