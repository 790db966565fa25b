/* Ranges of addresses: RFC 6890 and the clouds' metadata services. IPv6 forms that carry an IPv4 address are
 * judged by that address. */
#include "http/reach.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

struct range {
    unsigned char first[16];
    int bits;
    enum http_reach from; /* it is out of reach from this one on */
};

static const struct range ranges4[] = {
    {{169, 254}, 16, HTTP_REACH_NO_METADATA},           /* link-local: metadata of most clouds */
    {{100, 100, 100, 200}, 32, HTTP_REACH_NO_METADATA}, /* metadata of Alibaba Cloud */
    {{0}, 8, HTTP_REACH_PUBLIC},
    {{10}, 8, HTTP_REACH_PUBLIC},
    {{100, 64}, 10, HTTP_REACH_PUBLIC},
    {{127}, 8, HTTP_REACH_PUBLIC},
    {{172, 16}, 12, HTTP_REACH_PUBLIC},
    {{192, 168}, 16, HTTP_REACH_PUBLIC},
    {{198, 18}, 15, HTTP_REACH_PUBLIC},
    {{224}, 3, HTTP_REACH_PUBLIC},
};

static const struct range ranges6[] = {
    {{0xfe, 0x80}, 10, HTTP_REACH_NO_METADATA},
    {{0xfd, 0x00, 0x0e, 0xc2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x02, 0x54}, 128, HTTP_REACH_NO_METADATA},
    {{0}, 127, HTTP_REACH_PUBLIC}, /* ::, ::1 */
    {{0xfc}, 7, HTTP_REACH_PUBLIC},
    {{0xff}, 8, HTTP_REACH_PUBLIC},
};

static bool inside(const struct range *range, const unsigned char *address)
{
    int bytes = range->bits / 8, rest = range->bits % 8;
    if (memcmp(address, range->first, (size_t)bytes) != 0) {
        return false;
    }
    int mask = rest ? 0xff << (8 - rest) & 0xff : 0;
    return !rest || (address[bytes] & mask) == range->first[bytes];
}

static bool allowed(
    enum http_reach reach, const struct range *ranges, size_t count, const unsigned char *address)
{
    for (size_t i = 0; i < count; i++) {
        if (reach >= ranges[i].from && inside(&ranges[i], address)) {
            return false;
        }
    }
    return true;
}

static bool allowed4(enum http_reach reach, const unsigned char *address)
{
    return allowed(reach, ranges4, sizeof(ranges4) / sizeof(ranges4[0]), address);
}

static bool allowed6(enum http_reach reach, const unsigned char *address)
{
    static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff}, nat64[12] = {0, 0x64, 0xff, 0x9b};
    if (!memcmp(address, mapped, 12) || !memcmp(address, nat64, 12)) {
        return allowed4(reach, address + 12);
    }
    return allowed(reach, ranges6, sizeof(ranges6) / sizeof(ranges6[0]), address);
}

bool http_reach_allows(enum http_reach reach, const struct sockaddr *address)
{
    if (reach == HTTP_REACH_ANY) {
        return true;
    }
    if (address->sa_family == AF_INET) {
        struct sockaddr_in in4;
        memcpy(&in4, address, sizeof(in4));
        return allowed4(reach, (const unsigned char *)&in4.sin_addr);
    }
    if (address->sa_family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, address, sizeof(in6));
        return allowed6(reach, in6.sin6_addr.s6_addr);
    }
    return false;
}
