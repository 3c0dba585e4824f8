r"""Which folder is for what, where nobody has said so.  RFC 6154.

A folder is recognised by its name, and only at the top: ``("Sent",)``, not
``("2019", "Sent")``.  What was said with CREATE ... USE wins over every name.
"""

from collections.abc import Iterable, Mapping

from imapd.errors import UnsupportedUse
from imapd.ids import MailboxPath
from imapd.model.mailbox import SPECIAL_USES

#: The names that clients give such folders, the more usual first: of two that are
#: there, the earlier has the attribute.
_NAMES: Mapping[bytes, tuple[str, ...]] = {
    rb"\Sent": (
        *("Sent", "Sent Messages", "Sent Items", "Sent Mail", "Gesendet"),
        *("Gesendete Objekte", "Gesendete Elemente", "Gesendete Nachrichten"),
        *("Envoyés", "Messages envoyés", "Éléments envoyés", "Objets envoyés"),
        *("Enviados", "Elementos enviados", "Mensajes enviados", "Itens enviados"),
        *("Inviati", "Inviata", "Posta inviata", "Verzonden", "Verzonden items"),
        *("Verzonden berichten", "Wysłane", "Elementy wysłane", "Skickat"),
        *("Skickade", "Sendt", "Sendte elementer", "Lähetetyt", "Odeslané"),
        *("Odeslaná pošta", "Elküldött", "Отправленные", "Надіслані", "送信済み"),
        *("送信済みトレイ", "已发送", "已发送邮件", "寄件備份", "보낸편지함"),
        *("Gönderilmiş Öğeler", "Trimise"),
    ),
    rb"\Drafts": (
        *("Drafts", "Draft", "Entwürfe", "Entwurf", "Brouillons", "Borradores"),
        *("Rascunhos", "Bozze", "Concepten", "Kopie robocze", "Szkice", "Utkast"),
        *("Kladder", "Luonnokset", "Koncepty", "Rozepsané", "Piszkozatok"),
        *("Черновики", "Чернетки", "下書き", "草稿", "草稿箱", "임시보관함"),
        *("Taslaklar", "Ciorne"),
    ),
    rb"\Trash": (
        *("Trash", "Deleted Messages", "Deleted Items", "Papierkorb"),
        *("Gelöschte Objekte", "Gelöschte Elemente", "Gelöscht", "Corbeille"),
        *("Éléments supprimés", "Messages supprimés", "Papelera"),
        *("Elementos eliminados", "Lixeira", "Lixo", "Itens excluídos", "Cestino"),
        *("Posta eliminata", "Prullenbak", "Verwijderde items", "Kosz"),
        *("Elementy usunięte", "Papperskorg", "Papperskorgen", "Borttaget"),
        *("Papirkurv", "Slettet", "Roskakori", "Koš", "Kuka", "Корзина"),
        *("Удаленные", "Кошик", "ゴミ箱", "削除済みアイテム", "已删除"),
        *("已删除邮件", "휴지통", "Çöp Kutusu", "Coș de gunoi"),
    ),
    rb"\Junk": (
        *("Junk", "Spam", "Junk E-mail", "Junk Email", "Junk Mail", "Bulk Mail"),
        *("Spamverdacht", "Unerwünscht", "Pourriel", "Pourriels", "Indésirables"),
        *("Courrier indésirable", "Correo no deseado", "Lixo Eletrônico"),
        *("Posta indesiderata", "Ongewenst", "Ongewenste e-mail", "Wiadomości-śmieci"),
        *("Skräppost", "Søppelpost", "Uønsket", "Roskaposti", "Nevyžádaná pošta"),
        *("Levélszemét", "Спам", "迷惑メール", "垃圾邮件", "垃圾郵件", "스팸함"),
        *("Gereksiz",),
    ),
    rb"\Archive": (
        *("Archive", "Archives", "Archiv", "Archivo", "Arquivo", "Archivio"),
        *("Archief", "Archiwum", "Arkiv", "Arkisto", "Архив", "Архів"),
        *("アーカイブ", "归档", "存档", "보관함", "Arşiv", "Arhivă"),
    ),
}
_RANKS = {
    use: {name.casefold(): rank for rank, name in enumerate(names)}
    for use, names in _NAMES.items()
}


def assign(
    paths: Iterable[MailboxPath], explicit: Mapping[bytes, MailboxPath]
) -> dict[MailboxPath, bytes]:
    """Give each use to at most one of the folders that are there.

    ``explicit`` is what was said: for each use its folder, which may be gone.
    """
    there = list(paths)
    present = set(there)
    given = {path: use for use, path in explicit.items() if path in present}
    taken = set(given.values())
    for use, ranks in _RANKS.items():
        if use in taken:
            continue
        ranked = [
            (ranks[path[0].casefold()], path)
            for path in there
            if len(path) == 1 and path not in given and path[0].casefold() in ranks
        ]
        if ranked:
            given[min(ranked)[1]] = use
    return given


def check(
    use: bytes,
    explicit: Mapping[bytes, MailboxPath],
    there: Mapping[MailboxPath, bytes],
) -> None:
    """See whether CREATE may give this use to a new mailbox.  RFC 6154 §3.

    Raises:
        UnsupportedUse: we have no such use, or another mailbox was given it.
    """
    if use not in SPECIAL_USES:
        raise UnsupportedUse("There is no such use")
    if explicit.get(use) in there:
        raise UnsupportedUse("Another mailbox has this use")
