# Passes the output of `cargo test` through and adds up the results of all its programs.
{ print; fflush() }
/^test result:/ { passed += $4; failed += $6; ignored += $8; programs++ }
END { printf "\n%d tests passed, %d failed, %d ignored, in %d programs\n", passed, failed, ignored, programs }
