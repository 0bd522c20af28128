/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copyright (c) 2026 the barter developers
 *
 * Other programs, and what the demo was told.
 */
#ifndef DEMO_PROGRAM_H
#define DEMO_PROGRAM_H

/* Run a program and wait: its exit status, or -1. */
int run_program(char *const *argv);
/* The value of a variable; ends the program if it is not set. */
const char *from_environment(const char *name);

#endif /* DEMO_PROGRAM_H */
