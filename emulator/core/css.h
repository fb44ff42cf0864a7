/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The architecture's structures: sizes, offsets and bits (z/Architecture Principles of Operation, chapters
 * "Basic I/O Functions" and "I/O Interruptions"). Everything in main storage is in channel (big-endian) order.
 */
#ifndef CCWEMU_CSS_H
#define CCWEMU_CSS_H

#include <stdint.h>

#define CSS_ORB_SIZE 12   /* the part of the ORB that a command-mode program uses */
#define CSS_SCSW_SIZE 12
#define CSS_ESW_SIZE 20
#define CSS_ECW_SIZE 32
#define CSS_IRB_SIZE 96   /* SCSW, ESW, ECW, EMW */
#define CSS_PMCW_SIZE 28
#define CSS_SCHIB_SIZE 52
#define CSS_PATHS 8
#define CSS_CCW_SIZE 8

/* CCW flags */
#define CCW_CD 0x80u      /* chain data */
#define CCW_CC 0x40u      /* chain command */
#define CCW_SLI 0x20u     /* suppress length indication */
#define CCW_SKIP 0x10u
#define CCW_PCI 0x08u     /* program-controlled interruption */
#define CCW_IDA 0x04u     /* indirect data address */
#define CCW_SUSPEND 0x02u
#define CCW_MIDA 0x01u    /* modified indirect data address */

#define CCW_TIC 0x08u

/* Modified IDAW, in two doublewords: reserved (5 bytes), flags, count (2); address of the data */
#define MIDAW_SIZE 16u
#define MIDAW_LAST 0x80u
#define MIDAW_SKIP 0x40u
#define MIDAW_RESERVED 0x3fu         /* data-transfer interruption included, which is not installed */

/* ORB word 1 */
#define ORB_KEY_SHIFT 28
#define ORB_SUSPEND 0x08000000u
#define ORB_FORMAT1 0x00800000u
#define ORB_PREFETCH 0x00400000u
#define ORB_INITIAL 0x00200000u      /* initial-status interruption */
#define ORB_ALCC 0x00100000u         /* address limit */
#define ORB_SUPPRESS_SUSPEND 0x00080000u
#define ORB_TRANSPORT 0x00040000u    /* channel-program type: a TCW, not CCWs */
#define ORB_IDA64 0x00020000u        /* format-2 IDAWs */
#define ORB_IDA2K 0x00010000u
#define ORB_LPM_SHIFT 8
#define ORB_ILS 0x00000080u          /* incorrect length of immediate operations is suppressed */
#define ORB_MIDAW 0x00000040u        /* modified IDAWs are possible */
#define ORB_RESERVED 0x0000003eu
#define ORB_CPA_RESERVED 0x80000000u /* in word 2 */
/* the bits that the SCSW takes over: key, S, F, P, I, A, U */
#define ORB_TO_SCSW 0xf8f80000u

/* SCSW word 0 */
#define SCSW_KEY 0xf0000000u
#define SCSW_ESWF 0x04000000u
#define SCSW_CC3 0x03000000u         /* deferred condition code 3 */
#define SCSW_ZCC 0x00040000u         /* initial status was zero */
#define SCSW_ECTL 0x00020000u
#define SCSW_PNO 0x00010000u
#define SCSW_FC_START 0x4000u
#define SCSW_FC_HALT 0x2000u
#define SCSW_FC_CLEAR 0x1000u
#define SCSW_FC 0x7000u
#define SCSW_AC_START 0x0400u        /* start pending */
#define SCSW_AC_SUBCHANNEL 0x0080u   /* subchannel active */
#define SCSW_AC_DEVICE 0x0040u       /* device active */
#define SCSW_AC_SUSPENDED 0x0020u
#define SCSW_AC 0x0fe0u
#define SCSW_SC_ALERT 0x10u
#define SCSW_SC_INTERMEDIATE 0x08u
#define SCSW_SC_PRIMARY 0x04u
#define SCSW_SC_SECONDARY 0x02u
#define SCSW_SC_PENDING 0x01u
#define SCSW_SC 0x1fu

/* device (unit) status */
#define UNIT_ATTENTION 0x80u
#define UNIT_MODIFIER 0x40u
#define UNIT_BUSY 0x10u
#define UNIT_CE 0x08u                /* channel end */
#define UNIT_DE 0x04u                /* device end */
#define UNIT_CHECK 0x02u
#define UNIT_EXCEPTION 0x01u
#define UNIT_END (UNIT_CE | UNIT_DE)

/* subchannel status */
#define SCH_PCI 0x80u
#define SCH_LENGTH 0x40u             /* incorrect length */
#define SCH_PROGRAM 0x20u
#define SCH_PROTECTION 0x10u
#define SCH_DATA 0x08u               /* channel-data check */
#define SCH_CONTROL 0x04u            /* channel-control check */
#define SCH_INTERFACE 0x02u          /* interface-control check */
#define SCH_MACHINE (SCH_DATA | SCH_CONTROL | SCH_INTERFACE)

/* Format-0 ESW, word 0: the subchannel logout (LPUM in bits 8-15) */
#define ESW_LPUM_VALID 0x4000u
#define ESW_SEQUENCE_VALID 0x1000u
#define ESW_FETCHING 0x0100u         /* storage-access code */
#define ESW_STORING 0x0200u
#define ESW_COMMAND_NOT_SENT 0x0004u /* sequence code: the device has not got the current command */

/* Format-0 ESW, word 1: the extended-report word */
#define ERW_VERIFY_PATH 0x08000000u
#define ERW_FAILING_ADDRESS 0x02400000u /* words 2 and 3 are a failing-storage address of 64 bits */

/* PMCW, inside the SCHIB */
#define PMCW_INTPARM 0
#define PMCW_FLAGS 4                 /* 16 bits: ISC, E, LM, MM, D, T, V */
#define PMCW_DEVNO 6
#define PMCW_LPM 8
#define PMCW_PNOM 9
#define PMCW_LPUM 10
#define PMCW_PIM 11
#define PMCW_MBI 12
#define PMCW_POM 14
#define PMCW_PAM 15
#define PMCW_CHPID 16
#define PMCW_CHARS 24                /* 32 bits; the last one: concurrent sense */
#define PMCW_ENABLED 0x0080u
#define PMCW_VALID 0x0001u
#define PMCW_ISC 0x3800u
#define PMCW_LIMIT 0x0060u           /* limit mode */
#define PMCW_LIMIT_LOW 0x0020u       /* data lie at or above the address limit */
#define PMCW_LIMIT_HIGH 0x0040u      /* data lie below it */
#define PMCW_MODIFIABLE (PMCW_ISC | 0x00f8u | 0x0004u) /* ISC, E, LM, MM, D */
#define PMCW_CSENSE 0x00000001u

#define IRB_ESW CSS_SCSW_SIZE
#define IRB_ECW (IRB_ESW + CSS_ESW_SIZE)
#define IRB_EMW (IRB_ECW + CSS_ECW_SIZE)

_Static_assert(CSS_PMCW_SIZE + CSS_SCSW_SIZE + 12 == CSS_SCHIB_SIZE, "SCHIB = PMCW, SCSW, model-dependent area");
_Static_assert(IRB_EMW + 32 == CSS_IRB_SIZE, "IRB = SCSW, ESW, ECW, EMW");

#endif
