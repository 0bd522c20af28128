# SPDX-License-Identifier: GPL-2.0-only
# Copyright (c) 2026 the barter developers
#
# list on made-up machines.

tree_begin "$work/base"
tree_base
ok "list" run 0 list
cat > "$work/expected" <<'END'
DEVICE        CLASS              DRIVER           GROUP  BARS                 LENDABLE
0000:00:1f.2  SATA controller    ahci                 5  5: 4 KiB             no: shares IOMMU group 5 with 0000:00:1f.0, which is bound to lpc_ich
0000:01:00.0  memory controller  barter-vfio-pci      2  0: 256 B, 2: 64 MiB  yes
0000:02:00.0  other device       barter_dma           4  0: 1 MiB             after: barter bind 0000:02:00.0
END
ok "list shows what is expected" diff "$work/expected" "$work/out"
ok "list --all" run 0 list --all
ok "list --all has bridges" out_has "0000:00:01.0  PCI bridge"
ok "list --json" run 0 list --json
if [ -n "$json_tool" ]; then
	ok "list --json is JSON" is_json
else
	skip "list --json is JSON" "neither jq nor python3"
fi
if command -v jq > /dev/null; then
	ok "list --json: device" json '.devices[1].device == "0000:01:00.0"'
	ok "list --json: id" json '.devices[1].id == "1af4:1110"'
	ok "list --json: group" json '.devices[1].group == 2'
	ok "list --json: parent" json '.devices[1].parent == "0000:00:01.0"'
	ok "list --json: node" json '.devices[1].vfio_node == "/dev/vfio/2"'
	ok "list --json: BAR 2" json \
		'.devices[1].bars[1] == {"index":2,"length":67108864,"kind":"memory","prefetchable":true,"64bit":true,"assigned":true}'
	ok "list --json: lendable now" json '.devices[1].lendable == "now"'
	ok "list --json: lendable after bind" json '.devices[2].lendable == "bind"'
	ok "list --json: not lendable" json '.devices[0].lendable == "group-shared"'
else
	skip "list --json: values" "no jq"
fi

# No IOMMU; odd names; BARs without an address; domains above ffff.
tree_begin "$work/odd"
tree_device 0000:00:03.0 10de:2684 030000 - - 0=1000000 1=10000000,prefetch,64
tree_device 10000:00:04.0 8086:0001 020000 - - 0=1000,unset
tree_device 0000:00:05.0 8086:0002 120000 'od"d\name' 7 0=10000
ok "list on an odd machine" run 0 list
ok "no IOMMU is said" out_has "no: in no IOMMU group"
ok "a BAR without an address is said" out_has "0: 4 KiB (no address)"
ok "such a BAR is not lendable" out_has "no: no memory BAR of a page or more"
ok "a long domain is shown" out_has "10000:00:04.0"
ok "list --json on an odd machine" run 0 list --json
[ -z "$json_tool" ] || ok "odd names are still JSON" is_json
if command -v jq > /dev/null; then
	ok "odd names come through" json \
		'[.devices[].driver] | index("od\"d\\name") != null'
	ok "no group is null" json '.devices[0].group == null'
fi

# A driver name that is not UTF-8.
tree_begin "$work/bytes"
tree_device 0000:00:05.0 8086:0002 120000 "$(printf 'x\377\001y')" 7 0=10000
ok "list --json with bytes that are no text" run 0 list --json
[ -z "$json_tool" ] || ok "bytes that are no text are still JSON" is_json

tree_begin "$work/empty"
ok "list without devices" run 0 list
ok "list without devices says so" out_has "no PCI device"
ok "list --json without devices" run 0 list --json
[ -z "$json_tool" ] || ok "an empty list is JSON" is_json

BARTER_SYSFS=$work/nowhere
ok "list without sysfs fails" run 1 list
ok "list without sysfs says why" err_has "cannot be read from sysfs"
