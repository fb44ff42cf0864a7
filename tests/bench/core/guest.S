# SPDX-License-Identifier: GPL-2.0-or-later
# Bare-metal ESA/390 channel-program driver for the Hercules benchmark.
# Assembled with:  s390x-linux-gnu-as -m31 -march=g5 ; linked at 0x1000.
# The harness (storage.py) builds low core, job table, channel programs and
# buffers in one core image; this is the only code that runs in the guest.
#
# Low core (built by storage.py): 0x00 restart new PSW -> 0x1000
#   0x78 I/O new PSW -> io_int;  0x58/60/68/70 new PSWs -> disabled waits
#
# Job table at 0x3000, 128 bytes each:
#   +0  flags   byte 0: 80 = real I/O   40 = TPI polling (else enabled wait + I/O interruption)
#                       20 = sweep (advance track every program)
#                       10 = checksum all of the buffer after each program (+68 accumulates)
#                       08 = poison the buffer (MVCL X'EE') before each program
#                       04 = write job: stamp word 0 of each 4K block of the buffer, once, before t0
#                       02 = poison the buffer once, before t0
#   +4  iterations (0 = end of table)
#   +8  ORB address
#   +12 patch address 1 (CCHH word)   +16 patch address 2 (CCHH word)
#   +20 expected SCSW word 1 (CCW address)  +24 expected SCSW word 2 (status, count)
#   +28 buffer address   +32 buffer length (multiple of 4096)
#   +36 first CCHH       +40 cylinder limit, as CCHH with HH=0
#   +44 stamp word
#   +48 t0 (8)  +56 t1 (8)  +64 programs completed  +68 checksum accumulator
#   +72 last CCHH used   +76 error code  +80 error detail (16)
#   +96 TPI polls that found nothing
        .text
        .globl _start
_start:
        lhi   %r13,0x1000      # code base
        lhi   %r12,0x2000      # data page
        lctl  %c6,%c6,0x100(%r12)   # all I/O subclasses enabled
        # ---- find the subchannel by device number, enable it -------------
        l     %r1,0x104(%r12)       # 0x00010000
find:   stsch 0x140(%r12)
        bnz   fail_nosch-_start(%r13)
        clc   0x146(2,%r12),0x108(%r12)   # PMCW device number
        be    found-_start(%r13)
        ahi   %r1,1
        b     find-_start(%r13)
found:  st    %r1,0x10c(%r12)
        oi    0x145(%r12),0x80      # PMCW enabled
        msch  0x140(%r12)
        bnz   fail_msch-_start(%r13)
        lhi   %r11,0x3000           # job table
# ---------------------------------------------------------------- job loop
job:    l     %r10,4(%r11)          # iterations
        ltr   %r10,%r10
        bz    alldone-_start(%r13)
        l     %r9,36(%r11)          # CCHH
        l     %r7,12(%r11)
        l     %r8,16(%r11)
        tm    0(%r11),0x02
        bz    nopois0-_start(%r13)
        bas   %r14,poison-_start(%r13)
nopois0: tm   0(%r11),0x04
        bz    nostamp-_start(%r13)
        l     %r2,28(%r11)
        l     %r3,32(%r11)
        l     %r4,44(%r11)
stamp:  st    %r4,0(%r2)
        ahi   %r2,4096
        ahi   %r4,1
        ahi   %r3,-4096
        bnz   stamp-_start(%r13)
nostamp:
        stck  48(%r11)
# ------------------------------------------------------------ program loop
loop:   st    %r9,0(%r7)
        st    %r9,0(%r8)
        tm    0(%r11),0x08
        bz    nopois-_start(%r13)
        bas   %r14,poison-_start(%r13)
nopois:
        tm    0(%r11),0x80
        bz    noio-_start(%r13)
        l     %r1,0x10c(%r12)
        l     %r2,8(%r11)
        ssch  0(%r2)
        bnz   fail_ssch-_start(%r13)
        tm    0(%r11),0x40
        bo    poll-_start(%r13)
        lpsw  0x110(%r12)           # enabled wait
poll:   tpi   0x1f0(%r12)
        bnz   tsch-_start(%r13)
        l     %r2,96(%r11)
        ahi   %r2,1
        st    %r2,96(%r11)
        b     poll-_start(%r13)
io_int: # I/O new PSW lands here, disabled
tsch:   l     %r1,0x10c(%r12)
        tsch  0x180(%r12)
        bnz   fail_tsch-_start(%r13)
        clc   0x184(8,%r12),20(%r11)   # CCW address, dev/subch status, count
        bne   fail_scsw-_start(%r13)
noio:   tm    0(%r11),0x10
        bz    nosum-_start(%r13)
        l     %r2,68(%r11)
        l     %r4,28(%r11)
        l     %r5,32(%r11)
cks:    .insn rre,0xb2410000,%r2,%r4     # CKSM
        bo    cks-_start(%r13)
        st    %r2,68(%r11)
nosum:  tm    0(%r11),0x20
        bz    next-_start(%r13)
        st    %r9,72(%r11)
        ahi   %r9,1                 # next head
        lr    %r2,%r9
        n     %r2,0x11c(%r12)       # 0x0000ffff
        chi   %r2,15
        bl    next-_start(%r13)
        n     %r9,0x120(%r12)       # 0xffff0000
        a     %r9,0x104(%r12)       # + 0x00010000
        c     %r9,40(%r11)
        bl    next-_start(%r13)
        l     %r9,36(%r11)
next:   brct  %r10,loop
        stck  56(%r11)
        l     %r2,4(%r11)
        st    %r2,64(%r11)
        tm    0(%r11),0x20
        bo    nextjob-_start(%r13)
        st    %r9,72(%r11)
nextjob: ahi  %r11,128
        b     job-_start(%r13)
# ------------------------------------------------------------- subroutines
poison: l     %r2,28(%r11)
        l     %r3,32(%r11)
        xr    %r4,%r4
        l     %r5,0x124(%r12)       # 0xEE000000: pad EE, source length 0
        mvcl  %r2,%r4
        br    %r14
# ------------------------------------------------------------------- exits
alldone: lpsw 0x128(%r12)           # disabled wait, address 00D04E ("done")
fail_nosch: lhi %r2,1
        b     fail-_start(%r13)
fail_msch: lhi %r2,2
        b     fail-_start(%r13)
fail_ssch: lhi %r2,3
        b     fail-_start(%r13)
fail_tsch: lhi %r2,4
        b     fail-_start(%r13)
fail_scsw: lhi %r2,5
fail:   lhi   %r3,0x2f00
        st    %r2,0(%r3)            # error code
        st    %r11,4(%r3)           # job
        st    %r10,8(%r3)           # iterations left
        mvc   12(96,%r3),0x180(%r12)  # IRB
        lpsw  0x130(%r12)           # disabled wait, address 00BAD0
        .globl io_entry
        .set  io_entry, io_int
