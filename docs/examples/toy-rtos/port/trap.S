/* A trap enters the kernel under the one lock, as OS_ENTER() does in C. */
	.globl	trap
trap:
	TRAP_ENTER
	call	os_trap
#if OS_CORES > 1
	call	os_other_cores
#endif
	TRAP_LEAVE
	rte
