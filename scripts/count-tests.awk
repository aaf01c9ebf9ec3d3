# Passes the output of the test programs through and adds up their results: those of `cargo test`, Vitest
# and Playwright.
{ print; fflush() }
# Vitest and Playwright colour what they say.
{ line = $0; gsub(/\033\[[0-9;]*m/, "", line); fields = split(line, word, " ") }
line ~ /^test result:/ { passed += word[4]; failed += word[6]; ignored += word[8]; programs++ }
# "Tests  2 failed | 38 passed | 1 skipped (41)"
line ~ /^ *Tests  / { add(); programs++ }
# "  44 passed (1.2m)", "  1 failed", "  2 skipped", each on a line of its own
line ~ /^  [0-9]+ (failed|flaky|skipped|did not run|passed( \([0-9.]+m?s?\))?)$/ { add() }
line ~ /^  [0-9]+ passed \(/ { programs++ }
function add(   i) {
    for (i = 1; i < fields; i++) {
        if (word[i + 1] ~ /^passed/) passed += word[i]
        else if (word[i + 1] ~ /^(failed|flaky)/) failed += word[i]
        else if (word[i + 1] ~ /^(skipped|did)/) ignored += word[i]
    }
}
END { printf "\n%d tests passed, %d failed, %d ignored, in %d programs\n", passed, failed, ignored, programs }
