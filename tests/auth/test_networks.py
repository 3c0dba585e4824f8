import ipaddress
import unittest

from imapd.auth.networks import counted_address, networks, read_address


class CountedTests(unittest.TestCase):
    # Hardening: A01.

    def test_who_holds_an_ipv4_address_is_counted_as_it(self) -> None:
        held = {
            "itself": "8.8.4.4",
            "mapped": "::ffff:8.8.4.4",
            "mapped, in hexadecimal": "::FFFF:808:404",
            "6to4": "2002:808:404:9::1",
            "NAT64": "64:ff9b::8.8.4.4",
            # What stands there is inverted; the server's address is of no account.
            "Teredo": "2001:0:c000:201:8000:63bf:f7f7:fbfb",
            "Teredo by another server": "2001:0:909:909:8000:1:f7f7:fbfb",
        }
        for name, peer in held.items():
            self.assertEqual(str(counted_address(peer)), "8.8.4.4", name)

    def test_an_address_that_is_not_of_the_internet_is_made_up(self) -> None:
        for peer in ("2002:7f00:1::1", "2002:a00:1::1", "64:ff9b::127.0.0.1"):
            counted = counted_address(peer)
            self.assertEqual(counted, ipaddress.ip_address(peer), peer)

    def test_others_are_what_they_are(self) -> None:
        for peer in ("2001:db8::8.8.4.4", "::8.8.4.4", "64:ff9b:1::8.8.4.4", "::1"):
            self.assertEqual(counted_address(peer), ipaddress.ip_address(peer), peer)
        for text in ("", "unix", "/run/socket", "1.2.3", "::ffff:1.2.3", "x%y"):
            self.assertIsNone(counted_address(text), text)


class ReadTests(unittest.TestCase):
    def test_as_the_library_reads_it(self) -> None:
        for text in (
            *("192.0.2.1", "0.0.0.0", "255.255.255.255", "::1", "::ffff:192.0.2.1"),
            *("fe80::1%eth0", "2001:db8::", "::", "1::2::3", "192.0.2.1%lo"),
            *("", "192.0.2", "192.0.2.1.5", "192.0.2.256", "192.0.2.01", "00.0.0.0"),
            *(" 192.0.2.1", "192.0.2.1 ", "192.0.2.1\n", "192.0.2.1\0", "192.0.2.-1"),
            *("0x7f.0.0.1", "2130706433", "1", "١.0.2.1", "\udcff", "unix", "1..2.1"),
        ):
            try:
                wanted = ipaddress.ip_address(text)
            except ValueError:
                wanted = None
            self.assertEqual(read_address(text), wanted, ascii(text))


class NetworksTests(unittest.TestCase):
    # Hardening: A01.

    def test_same(self) -> None:
        same = {
            "IPv4": ("192.0.2.1", "192.0.2.255"),
            "mapped": ("192.0.2.1", "::ffff:192.0.2.7"),
            "IPv6": ("2001:db8::1", "2001:db8::ffff:1"),
            "scope": ("fe80::1%eth0", "fe80::2"),
        }
        for name, (first, second) in same.items():
            self.assertEqual(networks(first), networks(second), name)

    def test_how_far_apart(self) -> None:
        apart = {
            "2001:db8::1": 3,
            "2001:db8:0:1::1": 2,
            "2001:db8:0:100::1": 1,
            "2001:db8:1::1": 0,
            "192.0.2.1": 0,
            "unix": 0,
        }
        narrow_first = networks("2001:db8::7")
        self.assertEqual(len(narrow_first), 3)
        for peer, together in apart.items():
            shared = [name for name in networks(peer) if name in narrow_first]
            self.assertEqual(shared, list(narrow_first[3 - together :]), peer)

    def test_no_two_networks_have_one_name(self) -> None:
        # Text with the octets of a prefix is not that prefix.
        peers = ("97.98.99.1", "abc", "6162:6364:6566::1", "abcdef", "abcdefgh")
        named = [name for peer in peers for name in networks(peer)]
        self.assertEqual(len(named), len(set(named)))
        self.assertNotEqual(networks("192.0.2.1"), networks("192.0.3.1"))

    def test_text_is_cut(self) -> None:
        long = "/run/socket" * 20
        self.assertEqual(networks(long), networks(long[:64]))
        self.assertLess(len(networks("é" * 1000)[0]), 150)
