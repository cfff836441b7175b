# Docs that agree with the code.
CHECK_RUN += tests/tidy/docs.sh
docs: all ## make the tables in docs/ from the code again
	tests/tidy/docs.sh $(B)/skiff --write
.PHONY: docs
