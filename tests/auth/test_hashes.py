import shutil
import subprocess
import sys
import unittest
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st

from imapd.auth import hashes, md5state, newhash

# password "x" unless the row says otherwise; made with Dovecot 2.3.19
VECTORS = {
    "PLAIN": "{PLAIN}x",
    "CLEAR": "{CLEAR}x",
    "CLEARTEXT, lower case": "{cleartext}x",
    "PLAIN.b64": "{PLAIN.b64}eA==",
    "PLAIN.hex": "{PLAIN.HEX}78",
    "PLAIN-TRUNC": "{PLAIN-TRUNC}1-x",
    "CRAM-MD5": (
        "{CRAM-MD5}4638c77f1a70c6fda4ddfa6fbe34e6ee090a0f0088f15da8fed5e0a5ff2b4152"
    ),
    "CRAM-MD5.b64": "{CRAM-MD5.B64}RjjHfxpwxv2k3fpvvjTm7gkKDwCI8V2o/tXgpf8rQVI=",
    "CRYPT of Blowfish": (
        "{CRYPT}$2y$05$/dCAcKUUsBdWY1a1LD0fjeQ2ypn77UCTorHhwiad9aAQ1mMpckvOa"
    ),
    "SHA512-CRYPT": (
        "{SHA512-CRYPT}$6$zkar.5QEIlwtMHKQ$AKHnzbCE3rrA65uPbMfrTLSFy/OU8ZeR4l8sVumtieST"
        "7zy.fvbWuVIssd.s7JQ47vyumSPyUqJe3gXM2oZVD."
    ),
    "SHA256-CRYPT": (
        "{SHA256-CRYPT}$5$nBwez50.0RupaAek$.Kf/v/qV7Z9UPKRj5XRcz4omskzCeS0/Vm6wpOmED82"
    ),
    "MD5-CRYPT": "{MD5-CRYPT}$1$XKritxUK$vfC/eZmCyjusQuai8x6g80",
    "BLF-CRYPT": (
        "{BLF-CRYPT}$2y$05$9V/Aw4jcihSLeHtLBiBvi.we4kALjwnXEfUaZlgHrnD03UrvYWiii"
    ),
    "ARGON2ID": (
        "{ARGON2ID}$argon2id$v=19$m=65536,t=3,p=1$4XrtMr9gYxsD2oq8F9A6wg"
        "$JyHL8GjR6zLZR9XnF8EENNZeF62/8k2ya7F/p+hZqqI"
    ),
    "ARGON2I": (
        "{ARGON2I}$argon2i$v=19$m=32768,t=4,p=1$qYdUa0ZKDBSjhTSKUgXcig"
        "$WTpAis/MjWgiNImRELxOdh4yks6q8tYMbXWyPrnAi0E"
    ),
    "SSHA": "{SSHA}MfeJrtFKSqYXpeW1Eo9ruDLgQcdh0PKx",
    "SSHA.hex": "{SSHA.HEX}57f6ffe32e7281c698c4d9d4befb2079712fd91c814a41a7",
    "SSHA256": "{SSHA256}ykBxUslBD9Y+B/qSomWomsq6UM8AjiFRlr3WrjjsqHCeHf8I",
    "SSHA512": (
        "{SSHA512}969zVLMHvEmMb9vBGO8mvzJ3hY98Keqomd9f63ntVbgyOIvYHmUlxdh/x4upaI+Wwf6hH"
        "Nd7T+ErGJkEG9R6+zzmWLk="
    ),
    "SHA": "{SHA}EfatjsUqKYSrqv18O1FlA3hcIHI=",
    "SHA1": "{SHA1}EfatjsUqKYSrqv18O1FlA3hcIHI=",
    "SHA256": "{SHA256}LXEWQrcmsEQBYnyp+6wy9chTD7GQPMTbAiWHF5IaSIE=",
    "SHA256, hex unasked": (
        "{SHA256}2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"
    ),
    "MD5 is MD5-CRYPT": "{MD5}$1$5Vpv1vcJ$HPfMlz/7S1oMwoTAl60Ho0",
    "MD5 of a digest": "{MD5}9dd4e461268c8034f5c8564e155c67a6",
    "SMD5": "{SMD5}X0mXlcef1NFbjUmw+CVAwoUd+IA=",
    "PLAIN-MD5": "{PLAIN-MD5}9dd4e461268c8034f5c8564e155c67a6",
    "LDAP-MD5": "{LDAP-MD5}ndTkYSaMgDT1yFZOFVxnpg==",
    "PBKDF2": (
        "{PBKDF2}$1$Lt8273ZoT7v6NP/5$5000$47300f1110285d705c1b7fa716f498f33adfcba1"
    ),
    "DES-CRYPT": "{DES-CRYPT}tDGPGBHmRZjD.",
    "no scheme, DES": "tDGPGBHmRZjD.",
    "no scheme, $1$": "$1$XKritxUK$vfC/eZmCyjusQuai8x6g80",
    "no scheme, $1$ and more": "$1$XKritxUK$vfC/eZmCyjusQuai8x6g80$ignored",
    "no scheme, $5$": "$5$nBwez50.0RupaAek$.Kf/v/qV7Z9UPKRj5XRcz4omskzCeS0/Vm6wpOmED82",
    "pam_pwdfile, DES": "tDGPGBHmRZjD.[13]",
    "pam_pwdfile, MD5": "9dd4e461268c8034f5c8564e155c67a6[34]",
}

BAD = {
    "unknown scheme": "{NOPE}x",
    "no end of the scheme": "{PLAIN",
    "unknown encoding": "{PLAIN.utf7}x",
    "clear text without a scheme": "secret",
    "not base64": "{SSHA}%%%%",
    "salt missing": "{SSHA}EfatjsUqKYSrqv18O1FlA3hcIHI=",
    "CRAM-MD5 too short": "{CRAM-MD5}4638",
    "not hex": "{PLAIN-MD5}zzd4e461268c8034f5c8564e155c67a6",
    "MD5 of nothing": "{MD5}",
    "PBKDF2 without rounds": "{PBKDF2}$1$salt$$00",
    "PBKDF2, too many rounds": "{PBKDF2}$1$s$99999999$" + "0" * 40,
    "crypt, too many rounds": "$6$rounds=999999999$abc$def",
    "Blowfish, too costly": "$2y$31$" + "a" * 53,
    "Argon2, too much memory": "{ARGON2ID}$argon2id$v=19$m=999999999,t=1,p=1$YWFh$YWFh",
    "Argon2, too many passes": "{ARGON2ID}$argon2id$v=19$m=2097152,t=999,p=1$YWFh$YWFh",
    "SHA-1 crypt, too many rounds": "$sha1$4000000000$abcdefgh$" + "a" * 28,
    "Argon2 is not": "{ARGON2ID}argon",
    "trunc without length": "{PLAIN-TRUNC}x",
    "trunc to nothing, which all begin with": "{PLAIN-TRUNC}0-",
    "trunc of nothing": "{PLAIN-TRUNC}8-",
}

LOCKED = ("*", "!", "!!", "x", "{CRYPT}*", "!$6$abc$def", "")


class HashTests(unittest.TestCase):
    def test_vectors_of_dovecot(self) -> None:
        # Hardening: A04.
        for name, stored in VECTORS.items():
            self.assertTrue(hashes.verify(stored, b"x"), name)

    def test_wrong_passwords(self) -> None:
        for name, stored in VECTORS.items():
            for wrong in (b"", b"X", b"x\0", b"x\0y", b"x" * 5000, b"\xff\xfe"):
                self.assertFalse(hashes.verify(stored, wrong), f"{name} {wrong[:4]!r}")

    def test_bad_hashes_say_why_and_fit_nothing(self) -> None:
        for name, stored in BAD.items():
            self.assertFalse(hashes.verify(stored, b"x"), name)
            self.assertFalse(hashes.needs_thread(stored), name)
            with self.assertRaises(hashes.BadHash, msg=name) as caught:
                hashes.parse(stored)
            self.assertNotIn(stored.rpartition("}")[2] or "?", str(caught.exception))

    def test_locked(self) -> None:
        for stored in LOCKED:
            self.assertFalse(hashes.verify(stored, b"x"), stored)
            self.assertFalse(hashes.verify(stored, stored.encode()), stored)
        self.assertTrue(all(map(hashes.is_locked, LOCKED[:-1])))

    def test_cheap_ones_stay_out_of_threads(self) -> None:
        slow = {name for name, stored in VECTORS.items() if hashes.needs_thread(stored)}
        self.assertIn("SHA512-CRYPT", slow)
        self.assertIn("ARGON2ID", slow)
        self.assertNotIn("CRAM-MD5", slow)
        self.assertNotIn("SSHA512", slow)

    def test_cost_is_without_salt_and_hash(self) -> None:
        self.assertEqual(hashes.cost("$6$rounds=1000$aa$bb"), "CRYPT $6$rounds=1000")
        self.assertEqual(hashes.cost("$6$aa$bb"), hashes.cost("$6$cc$dd"))
        self.assertNotEqual(
            hashes.cost("$2y$05$" + "a" * 53), hashes.cost("$2y$06$" + "a" * 53)
        )
        self.assertEqual(hashes.cost(VECTORS["PBKDF2"]), "PBKDF2 5000")

    def test_bcrypt_where_the_system_has_no_blowfish(self) -> None:
        stored = VECTORS["BLF-CRYPT"]
        hashes._knows_method.cache_clear()
        self.addCleanup(hashes._knows_method.cache_clear)
        with mock.patch.object(hashes, "crypt", return_value=None):
            self.assertTrue(hashes.verify(stored, b"x"))
            self.assertFalse(hashes.verify(stored, b"y" * 100))

    def test_argon2_missing_is_said(self) -> None:
        with (
            mock.patch.dict(sys.modules, {"argon2": None}),
            self.assertRaisesRegex(hashes.BadHash, r"argon2-cffi"),
        ):
            hashes.parse(VECTORS["ARGON2ID"])

    @settings(max_examples=300, deadline=None)
    @given(st.text(max_size=60), st.sampled_from(sorted(hashes.SCHEMES)))
    def test_nothing_stored_raises(self, text: str, scheme: str) -> None:
        for stored in (text, f"{{{scheme}}}{text}", f"{{{scheme}.hex}}{text}"):
            hashes.verify(stored, b"canary")
            hashes.cost(stored)
            hashes.is_locked(stored)


class ContextTests(unittest.TestCase):
    @settings(max_examples=60, deadline=None)
    @given(st.binary(max_size=150), st.binary(max_size=150))
    def test_same_as_hmac(self, key: bytes, message: bytes) -> None:
        # Hardening: A06.
        import hmac

        got = md5state.hmac_md5(md5state.contexts(key), message)
        self.assertEqual(got, hmac.digest(key, message, "md5"))

    def test_wrong_length(self) -> None:
        with self.assertRaises(ValueError):
            md5state.hmac_md5(b"short", b"")


class NewHashTests(unittest.TestCase):
    def test_round_trip(self) -> None:
        # Hardening: A04.
        for scheme in newhash.MAKERS:
            stored = newhash.hash_password(scheme, "pässword")
            self.assertTrue(stored.startswith(f"{{{scheme}}}"), scheme)
            self.assertTrue(hashes.verify(stored, "pässword".encode()), scheme)
            self.assertFalse(hashes.verify(stored, b"password"), scheme)

    def test_refused(self) -> None:
        for scheme, password in (
            ("NOPE", "x"),
            ("PLAIN", ""),
            ("PLAIN", "a:b"),
            ("PLAIN", "a\nb"),
            ("SHA512-CRYPT", "a\0b"),
            ("SHA512-CRYPT", "a" * 2000),
            ("BLF-CRYPT", "a" * 73),
        ):
            with self.assertRaises(hashes.BadHash, msg=f"{scheme} {password[:5]!r}"):
                newhash.hash_password(scheme, password)


@unittest.skipUnless(shutil.which("doveadm"), "no doveadm on this machine")
class DoveadmTests(unittest.TestCase):
    """Dovecot's own tool agrees, both ways."""

    def doveadm(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["doveadm", "pw", *arguments], capture_output=True, text=True, check=False
        )

    def test_what_it_makes_we_take(self) -> None:
        listed = self.doveadm("-l").stdout.split()
        ours = [name for name in listed if name in hashes.SCHEMES]
        self.assertGreater(len(ours), 15)
        for scheme in ours:
            if scheme == "PLAIN-TRUNC":  # doveadm leaves the length out
                continue
            stored = self.doveadm("-s", scheme, "-p", "Wonder land").stdout.strip()
            self.assertTrue(hashes.verify(stored, b"Wonder land"), scheme)
            self.assertFalse(hashes.verify(stored, b"wonder land"), scheme)

    def test_what_we_make_it_takes(self) -> None:
        for scheme in newhash.MAKERS:
            stored = newhash.hash_password(scheme, "wonderland")
            right = self.doveadm("-t", stored, "-p", "wonderland")
            self.assertEqual(right.returncode, 0, scheme)
            wrong = self.doveadm("-t", stored, "-p", "looking-glass")
            self.assertNotEqual(wrong.returncode, 0, scheme)
