# SPDX-License-Identifier: GPL-2.0-only
# Messages and the exit status of the bed itself; sourced by the other shell parts.

readonly BED_FAILED=125

say() { printf 'vmtest: %s\n' "$*" >&2; }

# A failure of the bed, never of what it tests.
die() { say "$*"; exit "$BED_FAILED"; }

# step TEXT: what begins now and takes long enough that a person would wonder.
step() { printf 'vmtest: %s ...\n' "$*" >&2; }
