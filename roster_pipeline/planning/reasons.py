"""Why a row of a plan is what it is: one slug each, and the sentence a person reads."""

from __future__ import annotations

ID_REUSED, MATCH_CONTRADICTED, OTHER_CONNECTION = "id_reused", "match_contradicted", "other_connection"
DOUBTED = (ID_REUSED, MATCH_CONTRADICTED)
"""Conflicts with one person, whose fields stand beside those of the record."""
CONTACT_EXCLUDED = "contact_excluded"
REASONS: dict[str, str] = {
    # create
    "joined": "New in the SIS.",
    "joined_school": "Known in the district, new in this school.",
    # update
    "changed": "The SIS has other values.",
    "linked": "Found in the directory and linked to the SIS record for the first time.",
    "relinked": "The SIS gave this person a new id; the link follows.",
    "home_moved": "Their fields follow this connection's record from now on, not another connection's.",
    "contacts_off": "Parent contacts were switched off; the stored contact is removed.",
    CONTACT_EXCLUDED: "The SIS says that nobody may call this contact any more; it is removed whatever else happens.",
    # restore
    "returned": "Back in the SIS after a sync had archived them.",
    "returned_by_hand": "Back in the SIS; archived by hand, and the school lets the sync restore that.",
    # archive
    "left": "No longer in this school's roster.",
    "moved_school": "The SIS now has them in another school.",
    "no_org": "The SIS has them in no school any more.",
    "tobedeleted": "The SIS marks the record as deleted.",
    "role_ended": "Their role in this school has ended.",
    "role_not_begun": "Their role in this school has not begun yet.",
    "not_enrolled": "No enrollment of theirs in this school runs, which means gone on this connection.",
    "disabled": "Their account is disabled, which means gone on this connection.",
    # unchanged
    "equal": "Nothing differs.",
    # skip
    "auto_update_off": "Would change, but auto update is off for this role.",
    "archive_off": "Gone from the roster, but archiving is off for this role.",
    "role_off": "Their role is not rostered.",
    "archived_by_hand": "In the SIS, but archived by hand.",
    "excluded": "Excluded from the sync.",
    "grace": "Gone from the roster, still within the school's grace.",
    "sis_still_answers": "Not in the list, but the SIS still answers with an active record of this school.",
    "not_answered": "Not in the list, and the SIS gave no answer when asked for this one person.",
    "not_confirmed": "Not in the list, but when asked for this one person the SIS answered with a record that does not "
    "say that they have left: it names an org that the SIS does not list or that is not a school, or its status or id "
    "is not one that we can read.",
    "rejected_record": "Their record could not be used, which does not mean that they are gone.",
    "unknown_org": "Their record names an org that the SIS does not list, or that is not a school; that does not say "
    "that they have left.",
    "org_below": "Their record names an org below this school, which does not count as the school.",
    "not_linked": "Gone from the roster, but linked to no record of this SIS.",
    "in_conflict": "A record of the snapshot may be theirs; nothing is done until that is clear.",
    # conflict
    "several_matches": "Fits more than one person of the directory.",
    "match_taken": "Fits a person who already belongs to another record of this snapshot.",
    MATCH_CONTRADICTED: "Number or e-mail, and a name, are this person's, and something speaks against it. If it is "
    "the same person: roster person link. If it is somebody else: roster person unlink.",
    ID_REUSED: "The id is linked to this person, and nearly everything else speaks against it. If it is somebody else "
    "now: roster person unlink. If it is the same person: roster person link.",
    OTHER_CONNECTION: "Fits a person whom another connection knows, which this one cannot decide alone. "
    "The district's manager says whether they are the same: roster person link, or person unlink.",
    "number_shared": "Shares a number with people of whom too little else agrees.",
    "records_alike": "Has the name and the e-mail of two people who cannot be one. If it is one of them: roster "
    "person link.",
}

NOTES: dict[str, str] = {
    "records_joined": "Several records were taken for one person.",
    "found_by_number": "Found by number and name, not by a link.",
    "found_by_email": "Found by e-mail and name, not by a link.",
    "number_of_another": "The number is another person's as well.",
    "username_of_another": "The user name is another person's as well.",
    "email_of_another": "The e-mail is another person's as well.",
}
"""What is worth knowing of a row of a plan besides its reason: on what evidence a person was recognised, and what is
another's too."""
CHECKED_BY_HAND = ("records_joined", "found_by_number", "found_by_email", "number_of_another", "username_of_another")
"""The notes that somebody should look at. An e-mail is often a family's."""


def why_of(reason: str, notes: str | None) -> str:
    """The reason of a row as a sentence, and its notes as further ones. notes: words of `NOTES`, blanks between."""
    return " ".join([REASONS.get(reason, reason), *(NOTES.get(note, note) for note in (notes or "").split())])
