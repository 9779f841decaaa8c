/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Names by their hashes: rules for a name below a directory, whatever file has it, and whether a requested name may lead there at
 * all.
 *
 * Separate, because user space computes the same hashes (selection/filters.py).
 */
#ifndef FILETAP_PATH_RULES_H
#define FILETAP_PATH_RULES_H

#include "../event.h"
#include "compat.bpf.h"
#include "kernel.h"
#include "state.bpf.h"

/* FNV-1a of a name's bytes. For several names, from the lowest up: multiply by HASH_CHAIN, then xor the next. */
#define HASH_SEED 0xcbf29ce484222325ull
#define HASH_PRIME 0x100000001b3ull
#define HASH_CHAIN 0x9e3779b97f4a7c15ull

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, struct path_rule_key);
	__type(value, __u32);
} ft_path_rules SEC(".maps");

/* The basenames of all PATHs, and "..", which may lead anywhere. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64);
	__type(value, __u32);
} ft_basenames SEC(".maps");

/* The start of a name, and the root that ".." in it cannot leave. */
struct origin {
	struct found start;
	__u32 root; /* id */
	__u32 key; /* name_key.root */
	__u32 flags; /* DEFINITION_* */
	__u32 reserved;
};

/* Names being examined: a dentry's, and the one that a call has given, which is the key of the table of names too. */
struct text {
	__u8 dentry[COMPONENT_SPACE];
	struct name_key requested;
	char rest[COMPONENT_SPACE - NAME_KEY_SPACE];
	__u64 hash; /* of the component of 'requested' that is being read */
	__u32 has_basename; /* one before it is in 'basenames' */
	__u32 reserved;
	struct origin origin; /* of 'requested': here to save stack */
	__u64 whole; /* the hash of all bytes of 'requested' so far */
	__u64 parent; /* of those before the last slash */
	__u32 slash; /* its position, from 1; 0: there is none */
	__u32 length;
};

PER_CPU(text, struct text, ft_name_scratch)

/* 0: no rule has a name of this length. */
static __always_inline __u64 hash_of(struct dentry *dentry)
{
	__u32 length = BPF_CORE_READ(dentry, d_name.len);
	__u64 hash = HASH_SEED;
	struct text *t = text();

	if (!t || length >= COMPONENT_SPACE || !(config.lengths >> (length < 63 ? length : 63) & 1))
		return 0;
	asm volatile("%0 &= %1" : "+r"(length) : "i"(COMPONENT_SPACE - 1)); /* in the register that the verifier checks */
	bpf_probe_read_kernel(t->dentry, length, read_word(dentry, d_name.name));
	for (__u32 i = 0; i < COMPONENT_SPACE && i < length; i++)
		hash = (hash ^ t->dentry[i]) * HASH_PRIME;
	return hash;
}

static __always_inline bool is_basename(__u64 hash)
{
	return config.basenames >> (hash & 63) & 1 && bpf_map_lookup_elem(&ft_basenames, &hash);
}

/* Scan eight bytes of the requested name; returns 1 at the end. Global, so that the verifier reads it only once. */
__noinline int scan_bytes(__u32 index)
{
	struct text *t = text();
	const char *bytes;

	if (!t)
		return 1;
	bytes = t->requested.name + (index & (COMPONENT_SPACE / 8 - 1)) * 8;
	for (__u32 i = 0; i < 8; i++) {
		__u8 byte = bytes[i];

		if (!byte)
			return 1;
		if (byte == '/') {
			t->has_basename |= is_basename(t->hash);
			t->hash = HASH_SEED;
		} else {
			t->hash = (t->hash ^ byte) * HASH_PRIME;
		}
	}
	return t->has_basename != 0;
}

/* Returns true if the requested name, read with its NUL as 'length' bytes, may match a rule, wherever it starts. */
SUBPROGRAM bool may_lead_there(struct text *t, long length)
{
	t->hash = HASH_SEED;
	t->has_basename = 0;
	for (__u32 i = 0; i < COMPONENT_SPACE / 8; i++)
		if (scan_bytes(i))
			break;
	return length == COMPONENT_SPACE || t->has_basename || is_basename(t->hash);
}

/* Add eight bytes of the requested name, for mix_name(); returns 1 at the end. */
__noinline int mix_bytes(__u32 index)
{
	struct text *t = text();
	const char *bytes;

	if (!t)
		return 1;
	bytes = t->requested.name + (index & (COMPONENT_SPACE / 8 - 1)) * 8;
	for (__u32 i = 0; i < 8; i++) {
		__u8 byte = bytes[i];

		if (!byte)
			return 1;
		t->length++;
		if (byte == '/') {
			t->parent = t->whole;
			t->slash = t->length;
			t->hash = HASH_SEED;
		} else {
			t->hash = (t->hash ^ byte) * HASH_PRIME;
		}
		t->whole = (t->whole ^ byte) * HASH_PRIME;
	}
	return 0;
}

/* Compute the hashes of the requested name, of the part before its last slash, and of the part after it. */
SUBPROGRAM int mix_name(struct text *t)
{
	t->hash = HASH_SEED;
	t->whole = HASH_SEED;
	t->parent = HASH_SEED;
	t->slash = 0;
	t->length = 0;
	for (__u32 i = 0; i < COMPONENT_SPACE / 8; i++)
		if (mix_bytes(i))
			break;
	return 0;
}

#endif
