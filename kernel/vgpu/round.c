// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copyright (c) 2026 the barter developers
 *
 * Unmaps of guests, each from the first call that tells a space of it to the end of its
 * ioctl, which is when a task's work is run.
 *
 * Type 1 calls dma_unmap of all devices of a container, again and again while pages of
 * the range are pinned for any of them, and stops the machine when it has done so eleven
 * times. So a driver that pins again between two calls has to be held off the last ones,
 * and whoever is sent away to ask again must not be so too often. What counts are VFIO's
 * calls, whether something of this space was there or not. A guest may well unmap and map
 * the same range many times a second: what tells that from VFIO asking again is that its
 * ioctl has ended in between.
 *
 * What type 1 takes for the same memory it knows by a pointer, and that may be to
 * something else by now: while it waits for us another thread of the guest can unmap that
 * memory and map other, which gets the same pointer. So ranges say nothing:
 *
 *	calls	are counted from the first one of the ioctl to its end, whatever their
 *		ranges. From the third on nothing at all is pinned for the process that
 *		unmaps, nor by who was told, until its ioctl has ended
 *	quiet	is when since then no pin was under way that had begun before. No memory
 *		that is mapped from here on is ever pinned. What VFIO asks for two calls
 *		later was pinned already when it asked for what it had before, so these
 *		have two pointers, and both we and type 1 count from the beginning
 *
 * A device may be opened in the middle of it. What a space cannot know is its container; so
 * it is held by the unmaps of its process, all of them. (A guest of several processes, that
 * has one of them open a device when type 1 is about to look for the last time, can still
 * stop the machine, as with any driver of VFIO's that pins.)
 *
 * And iommufd answers of memory that it is unmapping as of memory that it cannot pin: from
 * before it tells the first device to after it has told the last.
 */
#include <linux/hashtable.h>
#include <linux/module.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/task_work.h>

#include "priv.h"

/* From this call on nobody may pin until the ioctl is over. */
#define VGPU_HOLD	3

/*
 * So often VFIO is sent away; then it is waited for. The eleventh time is the last, and one
 * is kept in reserve: the device by which calls were told apart may go, and then the next
 * one may be taken for the one before. No other can be, for who comes counts.
 */
#define VGPU_LATE_MOST	9

/* So often, and so many ms apart, it is asked what may be a device's memory. */
#define VGPU_DOUBTS	32
#define VGPU_DOUBT	4

/* Without these VFIO might stop the machine. */
#define VGPU_GFP_MUST	(GFP_KERNEL_ACCOUNT | __GFP_NOFAIL)

/**
 * struct vgpu_guest - a process with spaces or with unmaps
 * @node: in vgpu_guests
 * @mm: its memory, only to be compared; with a reference, by which no other process has
 *	the same while we are here
 * @users: spaces and rounds
 * @holds: rounds that let nobody pin
 * @pins: spaces that have a pin under way
 * @spaces: those that it has opened, or that were last told by it
 * @rounds: unmaps under way
 */
struct vgpu_guest {
	struct hlist_node node;
	struct mm_struct *mm;
	unsigned int users;
	unsigned int holds;
	unsigned int pins;
	struct list_head spaces;
	struct list_head rounds;
};

/**
 * struct vgpu_told - a space that was told of an unmap
 * @node: in the list of the round
 * @node_space: in that of the space, if there is one
 * @round: the unmap
 * @space: NULL when that has gone
 * @call: the last call that it has seen; 0: none
 */
struct vgpu_told {
	struct list_head node;
	struct list_head node_space;
	struct vgpu_round *round;
	struct barter_vgpu_space *space;
	unsigned int call;
};

static DEFINE_HASHTABLE(vgpu_guests, 6);
/* By task, which has one at most. */
static DEFINE_HASHTABLE(vgpu_rounds, 8);
static u64 vgpu_rounds_seq;
static DEFINE_SPINLOCK(vgpu_rounds_lock);

static struct vgpu_guest *vgpu_guest_find(struct mm_struct *mm)
{
	struct vgpu_guest *guest;

	lockdep_assert_held(&vgpu_rounds_lock);

	hash_for_each_possible(vgpu_guests, guest, node, (unsigned long)mm)
		if (guest->mm == mm)
			return guest;
	return NULL;
}

/* What vgpu_guest_put() has returned; NULL does nothing. */
static void vgpu_guest_free(struct vgpu_guest *guest)
{
	if (!guest)
		return;
	mmdrop(guest->mm);
	kfree(guest);
}

/* That of current, with a reference; NULL if it has no memory. */
static struct vgpu_guest *vgpu_guest_get(void)
{
	struct vgpu_guest *guest, *new = NULL;

	if (!current->mm)
		return NULL;
	for (;;) {
		spin_lock(&vgpu_rounds_lock);
		guest = vgpu_guest_find(current->mm);
		if (!guest && new) {
			guest = new;
			new = NULL;
			hash_add(vgpu_guests, &guest->node, (unsigned long)guest->mm);
		}
		if (guest)
			guest->users++;
		spin_unlock(&vgpu_rounds_lock);
		if (guest)
			break;
		new = kzalloc(sizeof(*new), VGPU_GFP_MUST);
		new->mm = current->mm;
		mmgrab(new->mm);
		INIT_LIST_HEAD(&new->spaces);
		INIT_LIST_HEAD(&new->rounds);
	}
	vgpu_guest_free(new);
	return guest;
}

/* Drop a reference. Returns what the caller has to free, without the lock: it, or NULL. */
static struct vgpu_guest *vgpu_guest_put(struct vgpu_guest *guest)
{
	lockdep_assert_held(&vgpu_rounds_lock);

	if (!guest || --guest->users)
		return NULL;
	hash_del(&guest->node);
	return guest;
}

/*
 * A space becomes one of the guest's (or of none), which brings a reference. Returns what
 * is to be freed, as vgpu_guest_put().
 */
static struct vgpu_guest *vgpu_guest_join(struct vgpu_guest *guest, struct barter_vgpu_space *space)
{
	struct vgpu_guest *old = space->guest;

	lockdep_assert_held(&vgpu_rounds_lock);

	if (old) {
		list_del(&space->node_guest);
		old->pins -= space->pinning;
	}
	space->guest = guest;
	if (guest) {
		list_add(&space->node_guest, &guest->spaces);
		guest->pins += space->pinning;
	}
	return vgpu_guest_put(old);
}

static bool vgpu_meets(const struct barter_vgpu_space *space, u64 first, u64 last)
{
	return first <= space->pin_last && last >= space->pin_first;
}

/* Is some of it being unmapped, by what this space was told or others of its process were? */
static bool vgpu_is_unmapped(const struct barter_vgpu_space *space, u64 first, u64 last)
{
	const struct vgpu_round *round;
	const struct vgpu_told *told;

	lockdep_assert_held(&vgpu_rounds_lock);

	list_for_each_entry(told, &space->told, node_space)
		if (first <= told->round->last && last >= told->round->first)
			return true;
	if (!space->guest)
		return false;
	list_for_each_entry(round, &space->guest->rounds, node_guest)
		if (first <= round->last && last >= round->first)
			return true;
	return false;
}

/* Whose pin is under way, and is of what is unmapped, will know. */
static void vgpu_round_tell(struct vgpu_round *round)
{
	struct barter_vgpu_space *space;
	struct vgpu_told *told;

	lockdep_assert_held(&vgpu_rounds_lock);

	list_for_each_entry(told, &round->told, node)
		if (told->space && told->space->pinning &&
		    vgpu_meets(told->space, round->first, round->last))
			told->space->unmapped = true;
	if (!round->guest)
		return;
	list_for_each_entry(space, &round->guest->spaces, node_guest)
		if (space->pinning && vgpu_meets(space, round->first, round->last))
			space->unmapped = true;
}

static void vgpu_round_end(struct callback_head *work)
{
	struct vgpu_round *round = container_of(work, struct vgpu_round, work);
	struct vgpu_told *told, *next;
	struct vgpu_guest *dead;

	spin_lock(&vgpu_rounds_lock);
	hash_del(&round->node);
	vgpu_round_tell(round);
	list_for_each_entry(told, &round->told, node) {
		if (!told->space)
			continue;
		list_del(&told->node_space);
		told->space->holds -= round->holds;
	}
	if (round->guest) {
		list_del(&round->node_guest);
		round->guest->holds -= round->holds;
	}
	dead = vgpu_guest_put(round->guest);
	spin_unlock(&vgpu_rounds_lock);
	vgpu_guest_free(dead);
	list_for_each_entry_safe(told, next, &round->told, node)
		kfree(told);
	kfree(round);
	module_put(THIS_MODULE);
}

/* From here on nobody pins, of whom this is known. */
static void vgpu_round_hold(struct vgpu_round *round)
{
	struct vgpu_told *told;

	lockdep_assert_held(&vgpu_rounds_lock);

	round->holds = true;
	if (round->guest)
		round->guest->holds++;
	list_for_each_entry(told, &round->told, node)
		if (told->space)
			told->space->holds++;
}

static bool vgpu_round_is_quiet(const struct vgpu_round *round)
{
	const struct vgpu_told *told;

	lockdep_assert_held(&vgpu_rounds_lock);

	if (round->guest && round->guest->pins)
		return false;
	list_for_each_entry(told, &round->told, node)
		if (told->space && told->space->pinning)
			return false;
	return true;
}

/*
 * Is this space the first that is told by a call of VFIO's? Who has seen the last one is,
 * and who was opened since the unmap began may be.
 */
static bool vgpu_round_is_next(const struct vgpu_round *round,
			       const struct vgpu_told *told)
{
	if (told->call)
		return told->call == round->calls;
	return round->calls != 1 || told->space->opened >= round->seq;
}

static void vgpu_round_count(struct vgpu_round *round, struct vgpu_told *told,
			     const struct vgpu_inval *inval)
{
	bool same = round->first == inval->first && round->last == inval->last;

	lockdep_assert_held(&vgpu_rounds_lock);

	if (!same || vgpu_round_is_next(round, told)) {
		round->calls++;
		if (!same) {
			vgpu_round_tell(round);
			round->first = inval->first;
			round->last = inval->last;
			vgpu_round_tell(round);
			if (round->quiet && round->calls - round->quiet >= 2)
				round->rounds = 0;
		}
		round->rounds++;
		if (round->calls >= VGPU_HOLD && !round->holds)
			vgpu_round_hold(round);
		if (round->holds && !round->quiet && vgpu_round_is_quiet(round))
			round->quiet = round->calls;
	}
	told->call = round->calls;
}

static struct vgpu_round *vgpu_round_find(void)
{
	struct vgpu_round *round;

	lockdep_assert_held(&vgpu_rounds_lock);

	hash_for_each_possible(vgpu_rounds, round, node, (unsigned long)current)
		if (round->task == current)
			return round;
	return NULL;
}

static struct vgpu_told *vgpu_round_told(const struct vgpu_round *round,
					 const struct barter_vgpu_space *space)
{
	struct vgpu_told *told;

	list_for_each_entry(told, &round->told, node)
		if (told->space == space)
			return told;
	return NULL;
}

/* For what current begins to unmap; NULL if it has no ioctl that will end. */
static struct vgpu_round *vgpu_round_new(const struct vgpu_inval *inval)
{
	struct vgpu_guest *dead;
	struct vgpu_round *round;

	if (current->flags & PF_KTHREAD)
		return NULL;
	round = kzalloc(sizeof(*round), VGPU_GFP_MUST);
	round->guest = vgpu_guest_get();
	round->task = current;
	round->first = inval->first;
	round->last = inval->last;
	INIT_LIST_HEAD(&round->told);
	init_task_work(&round->work, vgpu_round_end);
	if (task_work_add(current, &round->work, TWA_RESUME)) {
		spin_lock(&vgpu_rounds_lock);
		dead = vgpu_guest_put(round->guest);
		spin_unlock(&vgpu_rounds_lock);
		vgpu_guest_free(dead);
		kfree(round);
		return NULL;
	}
	__module_get(THIS_MODULE);
	spin_lock(&vgpu_rounds_lock);
	round->seq = ++vgpu_rounds_seq;
	hash_add(vgpu_rounds, &round->node, (unsigned long)current);
	if (round->guest)
		list_add(&round->node_guest, &round->guest->rounds);
	vgpu_round_tell(round);
	spin_unlock(&vgpu_rounds_lock);
	return round;
}

/*
 * A space is told by a round for the first time. Returns what is to be freed, as
 * vgpu_guest_put().
 */
static struct vgpu_guest *vgpu_round_add(struct vgpu_round *round, struct vgpu_told *told)
{
	struct barter_vgpu_space *space = told->space;
	struct vgpu_guest *dead = NULL;

	lockdep_assert_held(&vgpu_rounds_lock);

	list_add(&told->node, &round->told);
	list_add(&told->node_space, &space->told);
	space->holds += round->holds;
	/* It may be another process's, with a pin under way. */
	round->quiet = 0;
	/* Who unmaps is who can map, whoever has opened it. */
	if (space->in_use && round->guest && round->guest != space->guest) {
		round->guest->users++;
		dead = vgpu_guest_join(round->guest, space);
		vgpu_round_tell(round);
	}
	return dead;
}

/**
 * vgpu_round_begin - VFIO tells a space of an unmap
 * @inval: by current
 *
 * Return: the record of this unmap; NULL if there can be none, for want of an ioctl that
 * will end.
 */
struct vgpu_round *vgpu_round_begin(struct vgpu_inval *inval)
{
	struct barter_vgpu_space *space = inval->space;
	struct vgpu_told *told = NULL;
	struct vgpu_guest *dead;
	struct vgpu_round *round;

	/* Only current itself makes and ends its round. */
	spin_lock(&vgpu_rounds_lock);
	round = vgpu_round_find();
	if (round)
		told = vgpu_round_told(round, space);
	if (told)
		vgpu_round_count(round, told, inval);
	spin_unlock(&vgpu_rounds_lock);
	if (told)
		return round;

	if (!round)
		round = vgpu_round_new(inval);
	if (!round) {
		spin_lock(&vgpu_rounds_lock);
		space->unmapped |= vgpu_meets(space, inval->first, inval->last);
		spin_unlock(&vgpu_rounds_lock);
		return NULL;
	}
	told = kzalloc(sizeof(*told), VGPU_GFP_MUST);
	told->round = round;
	told->space = space;
	spin_lock(&vgpu_rounds_lock);
	dead = vgpu_round_add(round, told);
	vgpu_round_count(round, told, inval);
	spin_unlock(&vgpu_rounds_lock);
	vgpu_guest_free(dead);
	return round;
}

static bool vgpu_is_held(const struct barter_vgpu_space *space)
{
	lockdep_assert_held(&vgpu_rounds_lock);

	return space->holds || (space->guest && space->guest->holds);
}

/**
 * vgpu_round_holds - must a map wait for the end of an unmap?
 * @space: a space
 *
 * Return: whether VFIO has asked several times already, whatever for.
 */
bool vgpu_round_holds(struct barter_vgpu_space *space)
{
	bool holds;

	spin_lock(&vgpu_rounds_lock);
	holds = vgpu_is_held(space);
	spin_unlock(&vgpu_rounds_lock);
	return holds;
}

/**
 * vgpu_round_meets - is memory being unmapped, as far as is known?
 * @space: a space of the guest
 * @first: first byte
 * @last: last byte
 *
 * Return: whether an unmap of some of it is under way.
 */
bool vgpu_round_meets(struct barter_vgpu_space *space, u64 first, u64 last)
{
	bool meets;

	spin_lock(&vgpu_rounds_lock);
	meets = vgpu_is_unmapped(space, first, last);
	spin_unlock(&vgpu_rounds_lock);
	return meets;
}

/**
 * vgpu_doubt - is a backend to be asked again that says -EREMOTE?
 * @space: the space
 * @tries: 0 at first; counts
 *
 * Iommufd says so of memory that it is about to unmap, too, before it tells anybody; and
 * whoever unmaps may lose the CPU in between, for as long as others have work. Waits a
 * moment. Context: may sleep; an unmap may wait for the caller.
 *
 * Return: 1: ask again; 0: believe it; -EINTR: a fatal signal.
 */
int vgpu_doubt(struct barter_vgpu_space *space, unsigned int *tries)
{
	if (*tries == VGPU_DOUBTS || vgpu_asks_again(space))
		return 0;
	++*tries;
	schedule_timeout_killable(msecs_to_jiffies(VGPU_DOUBT));
	return fatal_signal_pending(current) ? -EINTR : 1;
}

/**
 * vgpu_round_is_patient - may VFIO not be sent away any more?
 * @round: the record of an unmap, or NULL
 *
 * Return: whether it has to be waited for.
 */
bool vgpu_round_is_patient(const struct vgpu_round *round)
{
	return !round || round->rounds > VGPU_LATE_MOST;
}

/**
 * vgpu_pin_begin - the backend is about to pin
 * @space: for this space, map_lock held
 * @first: first byte
 * @last: last byte
 *
 * Return: whether it may; if so then vgpu_pin_end() has to follow.
 */
bool vgpu_pin_begin(struct barter_vgpu_space *space, u64 first, u64 last)
{
	bool may;

	lockdep_assert_held(&space->map_lock);

	spin_lock(&vgpu_rounds_lock);
	may = !vgpu_is_held(space);
	if (may) {
		space->pinning = true;
		space->pin_first = first;
		space->pin_last = last;
		space->unmapped = false;
		if (space->guest)
			space->guest->pins++;
	}
	spin_unlock(&vgpu_rounds_lock);
	return may;
}

/* Of what is being pinned: was some of it unmapped since, or is it, as far as is known? */
static bool vgpu_pin_is_late(const struct barter_vgpu_space *space)
{
	lockdep_assert_held(&vgpu_rounds_lock);

	return space->unmapped ||
	       vgpu_is_unmapped(space, space->pin_first, space->pin_last);
}

/**
 * vgpu_pin_is_told - is what is being pinned known to be unmapped?
 * @space: between vgpu_pin_begin() and vgpu_pin_end()
 *
 * Return: what vgpu_pin_end() would say of what failed now.
 */
bool vgpu_pin_is_told(struct barter_vgpu_space *space)
{
	bool told;

	spin_lock(&vgpu_rounds_lock);
	told = vgpu_pin_is_late(space);
	spin_unlock(&vgpu_rounds_lock);
	return told;
}

/**
 * vgpu_pin_end - the backend has pinned, or not
 * @space: a space
 * @failed: because of the page
 *
 * Return: of what failed, with a backend that does not ask again, see the top of this file:
 * whether the guest has unmapped some of it since, or is about to. Of an unmap that other
 * devices are told of first this space knows by theirs, if they are of the same process.
 */
bool vgpu_pin_end(struct barter_vgpu_space *space, bool failed)
{
	bool was;

	if (vgpu_asks_again(space))
		failed = false;
	spin_lock(&vgpu_rounds_lock);
	was = failed && vgpu_pin_is_late(space);
	space->pinning = false;
	if (space->guest)
		space->guest->pins--;
	spin_unlock(&vgpu_rounds_lock);
	return was;
}

/**
 * vgpu_rounds_open - a space is opened, by current
 * @space: the space
 *
 * It may have been told of unmaps that still go on before it was closed, and has not seen
 * what VFIO has asked since: its next call counts, whatever the others have seen.
 */
void vgpu_rounds_open(struct barter_vgpu_space *space)
{
	struct vgpu_guest *guest = vgpu_guest_get(), *dead;
	struct vgpu_told *told;

	spin_lock(&vgpu_rounds_lock);
	space->in_use = true;
	dead = vgpu_guest_join(guest, space);
	space->opened = vgpu_rounds_seq;
	list_for_each_entry(told, &space->told, node_space) {
		told->call = 0;
		told->round->quiet = 0;
	}
	spin_unlock(&vgpu_rounds_lock);
	vgpu_guest_free(dead);
}

/**
 * vgpu_rounds_close - a space is nobody's any more
 * @space: the space
 *
 * Nor does it become somebody's when it is told of an unmap, as iommufd does behind the
 * close: it may stay closed for long.
 */
void vgpu_rounds_close(struct barter_vgpu_space *space)
{
	struct vgpu_guest *dead;

	spin_lock(&vgpu_rounds_lock);
	space->in_use = false;
	dead = vgpu_guest_join(NULL, space);
	spin_unlock(&vgpu_rounds_lock);
	vgpu_guest_free(dead);
}

/**
 * vgpu_rounds_forget - a space goes
 * @space: the space; the ioctls may not have ended yet
 */
void vgpu_rounds_forget(struct barter_vgpu_space *space)
{
	struct vgpu_told *told, *next;

	vgpu_rounds_close(space);
	spin_lock(&vgpu_rounds_lock);
	list_for_each_entry_safe(told, next, &space->told, node_space) {
		list_del(&told->node_space);
		told->space = NULL;
	}
	spin_unlock(&vgpu_rounds_lock);
}
