/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Requests to DNS servers and what came of them, from the packets themselves, since no tracepoint carries a payload: on the root of
 * the v2 hierarchy, as one program among others. Whatever is not from or to port 53 leaves after its ports were read. A packet is
 * let pass in any case.
 */
#include "depth.bpf.h"
#include "histogram.bpf.h"

#include <bpf/bpf_endian.h>

#include "signals/dns.h"

enum { ETHERTYPE_IPV4 = 0x0800, ETHERTYPE_IPV6 = 0x86dd, PROTOCOL_TCP = 6, PROTOCOL_UDP = 17, PORT_DNS = 53, PASS = 1, FLAG_RESPONSE = 0x8000,
       RCODE_MASK = 0xf };

/* As long as a resolver waits at most before it gives up by itself (glibc: 5 s a try). */
const volatile __u64 timeout_ns = 10000000000ULL;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 4096);
	__type(key, struct dns_request_key);
	__type(value, struct dns_request);
} dns_requests SEC(".maps");
counts_refused(dns_requests);

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1024);
	__type(key, struct dns_key);
	__type(value, struct dns_counts);
} dns_results SEC(".maps");
counts_refused(dns_results);

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, DNS_RESULT_COUNT);
	__type(key, __u32);
	__type(value, struct dns_counts);
} dns_totals SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct histogram);
} dns_latency SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64[DNS_NOTE_COUNT]);
} dns_notes SEC(".maps");

static const struct dns_counts no_counts;

static __always_inline void note(enum dns_note what)
{
	__u32 zero = 0;
	__u64 *notes = bpf_map_lookup_elem(&dns_notes, &zero);

	if (notes)
		bump(notes[what], 1);
}

/* --- results ---------------------------------------------------------------------------------------------------------- */

static __always_inline void observe(__u64 ns)
{
	__u32 zero = 0;
	struct histogram *histogram = keeps_histograms() ? bpf_map_lookup_elem(&dns_latency, &zero) : NULL;

	if (histogram)
		histogram_add(histogram, ns);
}

static __always_inline void add(struct dns_counts *counts, __u64 ns)
{
	if (counts) {
		bump(counts->requests, 1);
		bump(counts->sum_ns, ns);
	}
}

static __always_inline void count_result(const struct dns_request_key *key, __u64 cgroup_id, __u32 result, __u64 ns)
{
	struct dns_key row = { .cgroup_id = cgroup_id, .result = result };
	struct dns_counts *counts;

	__builtin_memcpy(row.server, key->server, sizeof(row.server));
	add(bpf_map_lookup_elem(&dns_totals, &result), ns);
	counts = bpf_map_lookup_elem(&dns_results, &row);
	if (!counts) {
		bpf_map_update_elem(&dns_results, &row, &no_counts, BPF_NOEXIST);
		counts = bpf_map_lookup_elem(&dns_results, &row);
	}
	if (!counts) {
		refuse(dns_results);
		note(DNS_LOSS_ROW);
	}
	add(counts, ns);
}

/* --- packets ---------------------------------------------------------------------------------------------------------- */

struct packet {
	__u8 peer[16];
	__u32 at;                       /* of the DNS header */
};

static __always_inline void map_ipv4(__u8 address[16], const __u8 ipv4[4])
{
	__builtin_memset(address, 0, 10);
	address[10] = address[11] = 0xff;
	__builtin_memcpy(&address[12], ipv4, 4);
}

/* Where the ports stand, and of what protocol they are; 0: not for us. Extension headers are not followed: DNS has none. */
static __always_inline __u32 skip_ip(struct __sk_buff *skb, bool out, struct packet *packet, __u8 *ret_protocol)
{
	const void *data = (const void *)(long)skb->data, *end = (const void *)(long)skb->data_end;

	if (skb->protocol == bpf_htons(ETHERTYPE_IPV4)) {
		const struct iphdr *ip = data;

		if ((const void *)(ip + 1) > end)
			return 0;
		*ret_protocol = ip->protocol;
		map_ipv4(packet->peer, (const __u8 *)ip + (out ? 16 : 12));
		return (__u32)(*(const __u8 *)ip & 0xf) * 4;
	}
	if (skb->protocol == bpf_htons(ETHERTYPE_IPV6)) {
		const struct ipv6hdr *ip = data;

		if ((const void *)(ip + 1) > end)
			return 0;
		*ret_protocol = ip->nexthdr;
		__builtin_memcpy(packet->peer, (const __u8 *)ip + (out ? 24 : 8), 16);
		return sizeof(*ip);
	}
	return 0;
}

/* Whether it comes from or goes to a server. */
static __always_inline bool find_message(struct __sk_buff *skb, bool out, struct packet *packet)
{
	__be16 ports[2];
	__u8 protocol = 0, words;
	__u32 at = skip_ip(skb, out, packet, &protocol);

	if (!at || (protocol != PROTOCOL_UDP && protocol != PROTOCOL_TCP) || bpf_skb_load_bytes(skb, at, ports, sizeof(ports)))
		return false;
	if (ports[out ? 1 : 0] != bpf_htons(PORT_DNS))
		return false;
	packet->at = at + sizeof(struct udphdr);
	if (protocol == PROTOCOL_UDP)
		return true;
	if (bpf_skb_load_bytes(skb, at + 12, &words, sizeof(words)))
		return false;
	packet->at = at + (words >> 4) * 4 + 2; /* over TCP the message's length comes first */
	return true;
}

static __always_inline void begin_request(struct __sk_buff *skb, const struct dns_request_key *key)
{
	struct dns_request request = { .start_ns = bpf_ktime_get_boot_ns(), .cgroup_id = bpf_skb_cgroup_id(skb) };

	/* One that is there already is this one, tried once more. */
	if (!bpf_map_lookup_elem(&dns_requests, key) && bpf_map_update_elem(&dns_requests, key, &request, BPF_NOEXIST)) {
		refuse(dns_requests);
		note(DNS_LOSS_REQUEST);
	}
}

/* Whoever deletes the request counts it: the answer, or the walk that gives it up. */
static __always_inline void end_request(const struct dns_request_key *key, __u32 result)
{
	const struct dns_request *found = bpf_map_lookup_elem(&dns_requests, key);

	if (!found)
		return;
	struct dns_request request = *found;
	if (bpf_map_delete_elem(&dns_requests, key))
		return;
	__u64 now = bpf_ktime_get_boot_ns(), ns = now > request.start_ns ? now - request.start_ns : 0;
	count_result(key, request.cgroup_id, result, ns);
	if (result != DNS_RESULT_TIMEOUT)
		observe(ns);
}

static __always_inline void look(struct __sk_buff *skb, bool out)
{
	struct dns_request_key key = {};
	struct packet packet = {};
	__be16 header[2];               /* id, flags */

	if (!find_message(skb, out, &packet) || bpf_skb_load_bytes(skb, packet.at, header, sizeof(header)))
		return;
	__u16 flags = bpf_ntohs(header[1]);
	if (!(flags & FLAG_RESPONSE) != out)
		return;
	key.cookie = bpf_get_socket_cookie(skb);
	key.id = bpf_ntohs(header[0]);
	__builtin_memcpy(key.server, packet.peer, sizeof(key.server));
	if (out)
		begin_request(skb, &key);
	else
		end_request(&key, flags & RCODE_MASK);
}

SEC("cgroup_skb/egress")
int on_egress(struct __sk_buff *skb)
{
	look(skb, true);
	return PASS;
}

SEC("cgroup_skb/ingress")
int on_ingress(struct __sk_buff *skb)
{
	look(skb, false);
	return PASS;
}

SEC("iter/bpf_map_elem")
int on_request(struct bpf_iter__bpf_map_elem *ctx)
{
	const struct dns_request_key *found = ctx->key;
	const struct dns_request *request = ctx->value;

	if (!found || !request || bpf_ktime_get_boot_ns() < request->start_ns + timeout_ns)
		return 0;
	struct dns_request_key key = *found;
	end_request(&key, DNS_RESULT_TIMEOUT);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
