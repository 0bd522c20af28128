/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copyright (c) 2026 the barter developers
 *
 * From a PC's reset vector to 32 bits and main(). All of it runs where it lies, in the
 * last 64 KiB below 4 GiB; the stack is in memory.
 */
	.code16
	.section .text.start, "ax"
start16:
	cli
	lgdtl	%cs:gdt_pointer - start16
	movl	%cr0, %eax
	orb	$1, %al
	movl	%eax, %cr0
	ljmpl	$8, $start32

	.code32
start32:
	movw	$16, %ax
	movw	%ax, %ds
	movw	%ax, %es
	movw	%ax, %ss
	movl	$0x8000, %esp
	call	main
	hlt

	.balign	8
gdt:
	.quad	0
	.quad	0x00cf9b000000ffff
	.quad	0x00cf93000000ffff
gdt_pointer:
	.word	gdt_pointer - gdt - 1
	.long	gdt

	.code16
	.section .text.reset, "ax"
	jmp	start16

	.section .note.GNU-stack, "", @progbits
