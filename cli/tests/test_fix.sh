# SPDX-License-Identifier: GPL-2.0-only
# Copyright (c) 2026 the barter developers
#
# doctor --fix on made-up machines: what it does, and what it leaves alone. modprobe is
# one that makes the folder that a loaded module has.

mkdir -p "$work/fix-bin"
cat > "$work/fix-bin/modprobe" <<'END'
#!/bin/sh
echo "$1" >> "$BARTER_SYSFS/../asked"
case $1 in
broken) echo "modprobe: FATAL: Module broken not found" >&2; exit 1 ;;
barter-vfio-pci) mkdir -p "$BARTER_SYSFS/module/barter" "$BARTER_SYSFS/bus/pci/drivers/barter-vfio-pci"
	: > "$BARTER_DEV/barter"; chmod 666 "$BARTER_DEV/barter" ;;
vfio) : > "$BARTER_DEV/vfio/vfio"; chmod 666 "$BARTER_DEV/vfio/vfio" ;;
esac
mkdir -p "$BARTER_SYSFS/module/$(echo "$1" | tr - _)"
END
chmod +x "$work/fix-bin/modprobe"
fix() {
	local want=$1
	shift
	PATH=$work/fix-bin:$PATH run "$want" doctor --fix "$@"
}
asked() { [ "$(xargs < "$TREE/asked" 2> /dev/null)" = "$1" ]; }
snapshot() { (cd "$TREE" && find . -path ./asked -prune -o -printf '%p %m %l\n' | sort); }

tree_begin "$work/fix"
tree_base
ok "fix: nothing to do" fix 0
ok "fix: nothing to do, said" out_has "nothing that --fix does by itself"
ok "fix: no module was asked for" [ ! -e "$TREE/asked" ]

rm -r "$TREE/sys/module/barter" "$TREE/sys/module/barter_vfio_pci" "$TREE/dev/barter" \
	"$TREE/sys/bus/pci/drivers/barter-vfio-pci"
snapshot > "$work/before"
ok "fix --dry-run" fix 1 --dry-run
ok "fix --dry-run: says what it would do" out_has "would do: modprobe barter-vfio-pci"
ok "fix --dry-run: does nothing" [ ! -e "$TREE/asked" ]
ok "fix --dry-run: all is as it was" diff "$work/before" <(snapshot)
ok "fix: modules" fix 0
ok "fix: modules, each once" asked "barter barter-vfio-pci"
ok "fix: modules, said" out_has "done: modprobe barter-vfio-pci"
ok "fix: looks again" out_has "nothing is missing"
ok "fix: once more" fix 0
ok "fix: once more does nothing" asked "barter barter-vfio-pci"

tree_begin "$work/fix-vfio"
tree_base
rm -r "$TREE/sys/module/vfio_iommu_type1" "$TREE/dev/vfio/vfio"
ok "fix: VFIO" fix 0
ok "fix: VFIO, both modules" asked "vfio_iommu_type1 vfio"

# What is not safe stays, and is said.
tree_begin "$work/fix-driver"
tree_base
snapshot > "$work/before"
ok "fix: a device that has a driver" fix 1 02:00.0
ok "fix: its driver is not taken away" diff "$work/before" <(snapshot)
ok "fix: it is left to you" out_has "left to you, as it gives or takes something:"
ok "fix: with the command" out_has "  0000:02:00.0: barter bind 0000:02:00.0"
tree_device 0000:00:05.0 8086:0002 120000 - 9 0=10000
ok "fix --dry-run: a device without a driver" fix 1 --dry-run 00:05.0
ok "fix --dry-run: would be bound" out_has "would do: barter bind 0000:00:05.0"
ok "fix: a device that nobody named" fix 0
ok "fix: is not bound" out_lacks "barter bind 0000:00:05.0"
ok "fix: the driver does not take it" fix 1 00:05.0
ok "fix: the driver does not take it, said" out_has \
	"failed: barter bind 0000:00:05.0: barter-vfio-pci did not take it"
ok "fix: a group with other drivers" fix 1 00:1f.3
ok "fix: a group with other drivers is left" out_lacks "barter bind 0000:00:1f.3:"
chmod 0600 "$TREE/dev/barter"
if [ "$(id -u)" = 0 ]; then
	ok "fix: a node that only root may open" fix 0
	ok "fix: is said" out_has "can be opened, but not by everybody (mode 0600)"
else
	chmod 0 "$TREE/dev/barter"
	ok "fix: a node that this user may not open" fix 1
	ok "fix: is left, with the command" out_has "chmod 0666 /dev/barter"
fi
ok "fix: rights are not given" [ "$(stat -c %a "$TREE/dev/barter")" != 666 ]

# Whoever waits at a terminal is told for what, once a second is over.
tree_begin "$work/fix-slow"
tree_base
rm -r "$TREE/sys/module/vfio_iommu_type1"
sed -i '2s/^/sleep 3\n/' "$work/fix-bin/modprobe"
if SHELL=/bin/sh script -qec true /dev/null > /dev/null 2>&1 < /dev/null; then
	PATH=$work/fix-bin:$PATH SHELL=/bin/sh script -qec "'$barter' doctor --fix" /dev/null > "$work/out" < /dev/null 2> "$work/err"
	ok "fix: a module that takes its time" asked vfio_iommu_type1
	ok "fix: is waited for, and a terminal shows it" out_has "barter: vfio_iommu_type1: is being loaded, 2 s"
else
	skip "fix: is waited for, and a terminal shows it" "no script, or no terminal"
fi
mkdir -p "$TREE/sys/module" && rm -rf "$TREE/sys/module/vfio_iommu_type1" "$TREE/asked"
ok "fix: elsewhere it is waited for" fix 0
ok "fix: elsewhere nothing shows it" out_lacks "is being loaded"
sed -i '2d' "$work/fix-bin/modprobe"

tree_begin "$work/fix-fails"
tree_base
rm -r "$TREE/sys/module/vfio_iommu_type1"
sed -i 's/^broken)/vfio_iommu_type1)/' "$work/fix-bin/modprobe"
ok "fix: modprobe fails" fix 1
ok "fix: modprobe fails, with its words" out_has \
	"failed: modprobe vfio_iommu_type1: modprobe: FATAL: Module broken not found; "
ok "fix: modprobe fails, tried once" asked vfio_iommu_type1
