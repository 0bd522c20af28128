// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * How a page of device memory is cached: the entry of the caller's own page table,
 * and the CPU's own word for what its bits mean. The emulator ignores both, so they
 * are all the proof there is.
 */
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/uaccess.h>
#ifdef CONFIG_X86
#include <asm/msr.h>
#endif

#include "kmod.h"

#ifdef CONFIG_X86
static void page_decode(struct barter_test_page *req, unsigned long prot)
{
	u32 low, high;

	/* Bit 7 says so; of a small entry it is PAT, which Linux has no use for. */
	req->out_large = !!(prot & _PAGE_PSE);
	req->out_bits = (prot & _PAGE_PWT ? 1 : 0) | (prot & _PAGE_PCD ? 2 : 0);
	if (prot & _PAGE_PAT_LARGE)
		req->out_bits |= 4;
	rdmsr(MSR_IA32_CR_PAT, low, high);
	req->out_type = (req->out_bits & 4 ? high : low) >>
			8 * (req->out_bits & 3) & 7;
}
#endif

/* Answers BARTER_TEST_IOC_PAGE. */
int page_look(struct barter_test_page __user *arg)
{
#ifdef CONFIG_X86
	struct follow_pfnmap_args args = { };
	struct barter_test_page req;
	int ret;

	if (copy_from_user(&req, arg, sizeof(req)))
		return -EFAULT;
	mmap_read_lock(current->mm);
	args.address = req.address;
	args.vma = vma_lookup(current->mm, req.address);
	ret = args.vma && args.vma->vm_flags & VM_PFNMAP ? 0 : -EINVAL;
	if (!ret && follow_pfnmap_start(&args))
		ret = -ENODATA;
	if (!ret) {
		page_decode(&req, pgprot_val(args.pgprot));
		req.out_special = args.special;
		req.out_writable = args.writable;
		req.out_pfn = args.pfn;
		follow_pfnmap_end(&args);
	}
	mmap_read_unlock(current->mm);
	if (!ret && copy_to_user(arg, &req, sizeof(req)))
		ret = -EFAULT;
	return ret;
#else
	return -EOPNOTSUPP;
#endif
}
