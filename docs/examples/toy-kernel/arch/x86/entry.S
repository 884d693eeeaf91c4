/* System calls: save the registers, run the call, reschedule if asked to. */
#include <toy/config.h>

	.globl	system_call
system_call:
	pushl	%eax
	pushl	%ds
	call	*call_table(,%eax,4)
	call	cpu_number
#ifdef CONFIG_SMP
	imull	$16, %eax
	cmpl	$0, runqueues+12(%eax)
#else
	cmpl	$0, runqueues+8
#endif
	je	restore
	call	schedule
restore:
	popl	%ds
	popl	%eax
	iret
