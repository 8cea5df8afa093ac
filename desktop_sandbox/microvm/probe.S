# A PVH kernel that proves that long mode runs at the speed of a real processor:
# enters long mode with its own page tables, takes page faults' worth of table walks, counts down, and leaves through isa-debug-exit.
    .section .note.pvh, "a", @note
    .long 4, 4, 18
    .asciz "Xen"
    .long start32
    .section .text, "awx"
    .code32
    .globl start32
start32:
    cli
    mov $0x9000, %esp
    # page tables at 0x10000: identity map of 1 GiB with 2 MiB pages
    mov $0x10000, %edi
    xor %eax, %eax
    mov $0x1800, %ecx
    cld
    rep stosl
    movl $0x11003, 0x10000
    movl $0x12003, 0x11000
    mov $0x12000, %edi
    mov $0x83, %eax
    mov $512, %ecx
1:  movl %eax, (%edi)
    add $0x200000, %eax
    add $8, %edi
    loop 1b
    mov $0x10000, %eax
    mov %eax, %cr3
    mov %cr4, %eax
    or $0x20, %eax
    mov %eax, %cr4
    mov $0xC0000080, %ecx
    rdmsr
    or $0x100, %eax
    wrmsr
    mov %cr0, %eax
    or $0x80000001, %eax
    mov %eax, %cr0
    lgdt gdtr
    ljmp $8, $long
    .code64
long:
    mov $16, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %ss
    mov $0x1000000, %rbx
    mov $20000000, %rcx
2:  mov %rcx, (%rbx)
    add $1, %rdx
    dec %rcx
    jnz 2b
    mov $200, %r8d
3:  mov $0, %eax
    cpuid
    mov %cr3, %rax
    mov %rax, %cr3
    dec %r8d
    jnz 3b
    mov $0x2a, %al
    mov $0xf4, %dx
    out %al, %dx
4:  hlt
    jmp 4b
    .align 8
gdt: .quad 0, 0x00af9a000000ffff, 0x00cf92000000ffff
gdtr: .word 23
    .long gdt
