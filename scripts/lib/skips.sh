# SPDX-License-Identifier: GPL-2.0-only
# What may be skipped: tests/expected.txt, for every runner of tests. Needs bash; the
# file is found from here, wherever it is sourced from.
#
# Each use of an entry is told to the file that BARTER_SKIPS names, if it does.

skips_list=$(dirname "${BASH_SOURCE[0]}")/../../tests/expected.txt

# skips_read: read the list, once. An entry without a reason ends the run.
skips_read() {
	local kernel suite text reason more

	[ -z "${skips_kernels+there}" ] || return 0
	skips_kernels=() skips_suites=() skips_texts=() skips_reasons=()
	while IFS=$'\t' read -r kernel suite text reason more; do
		[[ $kernel && $kernel != '#'* ]] || continue
		if [ -z "$reason" ] || [ -n "$more" ]; then
			echo "tests/expected.txt: not kernel, suite, test, reason: $kernel $suite $text" >&2
			exit 2
		fi
		skips_kernels+=("$kernel") skips_suites+=("$suite")
		skips_texts+=("$text") skips_reasons+=("$reason")
	done <"$skips_list"
}

# skips_find KERNEL SUITE TEXT: is it in the list? Leaves the reason in $skips_reason.
# A text of "-" stands for the whole suite.
skips_find() {
	local i

	skips_read
	for i in "${!skips_kernels[@]}"; do
		# shellcheck disable=SC2053 # these two are patterns
		[[ $1 == ${skips_kernels[i]} && $2 == ${skips_suites[i]} ]] || continue
		[ "$3" = "${skips_texts[i]}" ] || continue
		skips_reason=${skips_reasons[i]}
		[ -z "${BARTER_SKIPS:-}" ] || printf '%s\t%s\t%s\n' "${skips_kernels[i]}" \
			"${skips_suites[i]}" "${skips_texts[i]}" >>"$BARTER_SKIPS"
		return 0
	done
	return 1
}

# skips_unexpected KERNEL SUITE: TAP or lines of it on standard input; says which skips
# are not in the list, and leaves their number in $skips_bad.
skips_unexpected() {
	local line text

	skips_bad=0
	while IFS= read -r line; do
		[[ $line =~ ^ok\ ([0-9]+\ )?-\ (.*)\ #\ SKIP(.*)$ ]] || continue
		text=${BASH_REMATCH[2]}
		skips_find "$1" "$2" "$text" && continue
		echo "unexpected skip: $text:${BASH_REMATCH[3]}"
		skips_bad=$((skips_bad + 1))
	done
}

# skips_unused FILE: entries that no run has told FILE of, but for those that depend on
# the machine, whose reason begins with "where".
skips_unused() {
	local i

	skips_read
	for i in "${!skips_kernels[@]}"; do
		[[ ${skips_reasons[i]} != where\ * ]] || continue
		grep -qxF -- "${skips_kernels[i]}	${skips_suites[i]}	${skips_texts[i]}" "$1" 2>/dev/null ||
			echo "tests/expected.txt: nothing is skipped like this any more: ${skips_kernels[i]} ${skips_suites[i]} ${skips_texts[i]}"
	done
}
