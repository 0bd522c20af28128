# SPDX-License-Identifier: GPL-2.0-only
# Copyright (c) 2026 the barter developers
#
# bind, unbind, export, peek, topo on made-up machines: what they refuse, and
# that an error names the object and the way out.

tree_begin "$work/devices"
tree_base
ok "bind: unknown device" run 1 bind 09:00.0
ok "bind: unknown device is named" err_has "09:00.0: no such PCI device"
ok "bind: bridge" run 1 bind 00:01.0
ok "bind: bridge, why" err_has "is a bridge"
ok "bind: shared group" run 1 bind 00:1f.2
ok "bind: shared group, with whom" err_has "0000:00:1f.0 (lpc_ich)"
ok "bind: bound already" run 0 bind 01:00.0
ok "bind: bound already is said" out_has "already"
rm -r "$TREE/sys/bus/pci/drivers/barter-vfio-pci"
ok "bind: driver not loaded" run 1 bind 02:00.0
ok "bind: driver not loaded, remedy" err_has "modprobe barter-vfio-pci"
tree_driver barter-vfio-pci
: > "$TREE/sys/bus/pci/drivers/barter_dma/unbind"
ok "bind: the driver does not take it" run 1 bind 02:00.0
ok "bind: given back" err_has "it was given back to barter_dma"
ok "bind: nothing is remembered then" [ ! -e "$TREE/run/0000:02:00.0" ]
ok "bind: driver_override is cleared again" \
	grep -qx "" "$TREE/sys/bus/pci/devices/0000:02:00.0/driver_override"

mkdir -p "$TREE/sys/bus/pci/devices/0000:02:00.0/net/eth7"
echo 0x1003 > "$TREE/sys/bus/pci/devices/0000:02:00.0/net/eth7/flags"
ok "bind: interface up" run 1 bind 02:00.0
ok "bind: interface is named" err_has "network interface eth7 is up"
ok "bind: in use, the way out" err_has "--force"
echo 0x1002 > "$TREE/sys/bus/pci/devices/0000:02:00.0/net/eth7/flags"
ok "bind: interface down is no use" run 1 bind 02:00.0
ok "bind: goes on to binding" err_has "did not take it"

tree_device 0000:00:05.0 8086:0002 120000 - - 0=10000
ok "bind: no IOMMU group" run 1 bind 00:05.0
ok "bind: no IOMMU group, remedy" err_has "barter doctor"

ok "unbind: not bound" run 1 unbind 02:00.0
ok "unbind: not bound, to what" err_has "is not bound to barter-vfio-pci but to barter_dma"
ok "unbind: unknown device" run 1 unbind 09:00.0

ok "export: no such device" run 1 export 09:00.0 2 0+4096
ok "export: no such device is named" err_has "09:00.0: no such PCI device"
ok "export: no IOMMU group" run 1 export 00:05.0 0 0+4096
ok "export: no IOMMU group, remedy" err_has "barter bind"
rm "$TREE/dev/vfio/vfio"
ok "export: no VFIO" run 1 export 01:00.0 2 0+4096
ok "export: no VFIO, remedy" err_has "modprobe vfio-pci"
ok "peek: no VFIO" run 1 peek 01:00.0 2 0
ok "poke: no VFIO" run 1 poke 01:00.0 2 0 1
ok "peek --fd of what is not open" run 1 peek --fd 77 0
ok "peek --fd of what is not open, said" err_has "fd 77: is not open"
ok "peek --fd of a file" run 1 peek --fd 0 0
ok "peek --fd of a file, said" err_has "is no dma-buf"
ok "poke --fd of a file" run 1 poke --fd 0 0 1
ok "options may follow operands" run 1 peek 0 --fd 0
ok "options may follow operands, same error" err_has "is no dma-buf"

ok "info of a file" run 1 info 0
ok "info of a process that is not there" run 1 info 2147483000:3
ok "info of a process that is not there, said" err_has "no such process"
ok "watch of a file" run 1 watch 0
ok "watch of a process that is not there" run 1 watch 2147483000:3
ok "watch of a process that is not there, said" err_has "no such process"

# /dev/barter is a plain file: the tree is drawn, routes are not known.
for way in "" --json --dot --svg; do
	ok "topo $way without routes fails" run 1 topo $way
	ok "topo $way without routes says so" err_has "routes:"
	ok "topo $way draws the tree" out_has "01:00.0"
	case $way in
	--json)
		[ -z "$json_tool" ] || ok "topo --json is JSON" is_json
		;;
	--svg)
		if command -v xmllint > /dev/null; then
			ok "topo --svg is XML" xmllint --noout "$work/out"
		elif command -v python3 > /dev/null; then
			ok "topo --svg is XML" python3 -c \
				'import sys, xml.dom.minidom as m; m.parse(sys.argv[1])' "$work/out"
		else
			skip "topo --svg is XML" "neither xmllint nor python3"
		fi
		;;
	esac
done
rm "$TREE/dev/barter"
ok "topo without barter.ko" run 1 topo
ok "topo without barter.ko, remedy" err_has "modprobe barter-vfio-pci"
ok "topo -o" run 1 topo --svg -o "$work/picture.svg"
ok "topo -o writes the file" grep -q "</svg>" "$work/picture.svg"
ok "topo -o where it cannot" run 1 topo -o "$work/no/such/folder"
ok "topo -o where it cannot, named" err_has "$work/no/such/folder: cannot be written"
ok "topo --importer of an unknown device" run 1 topo --importer 09:00.0
