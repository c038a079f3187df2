"""Texts for people about each guard: its title, and what to do about its findings."""

GUARD_TITLES: dict[str, str] = {
    "incomplete_snapshot": "The list is not complete",
    "witness": "The SIS still answers for missing people",
    "no_witness": "The SIS was not asked for single people",
    "source_stale": "The SIS shows no change for long",
    "older_source": "The data are of an earlier day",
    "unlike_before": "Much less came than usual",
    "people_missing": "Many people of the school are missing",
    "strangers": "Many people are new to the school",
    "lower_grades": "Many students go down a grade",
    "moved_keys": "People get values of somebody else",
    "small_role": "A small role beside a held one",
    "role_changes": "Many people change their role",
    "rekeyed": "Many people have new ids",
    "reassigned_ids": "Many ids belong to somebody else now",
    "empty_role": "Nobody came for a role",
    "no_orgs": "People came without a school",
    "unknown_orgs": "People came with an unknown school",
    "shrunk_role": "A role is smaller than usual",
    "archivals": "A large share would be archived",
    "archive_most": "A large number would be archived",
    "creations": "Many new people",
    "claimed_people": "People of another connection",
    "quality": "A quality rule failed",
    "no_quality": "A quality rule gave no result",
    "restores": "Many people come back",
    "updates": "Many people change",
    "key_updates": "Many e-mails, numbers or names change, or values go",
    "rejected": "Many records cannot be used",
    "blackout": "A window in which nothing changes",
    "add_only": "A window in which people are only added",
    "first_sync": "The first sync",
}
ADVICE: dict[str, str] = {
    "incomplete_snapshot": "People who are missing from an incomplete list may still be at the school. So nobody is "
    "archived, and no approval can change that. Sync again. If it stays incomplete, have that corrected in the SIS.",
    "witness": "The lists of the SIS leave out people who are still there, so a missing person proves nothing. This "
    "cannot be approved. Ask the people who run the SIS what this client may see, and sync again.",
    "no_witness": "Nobody is archived without a second answer of the SIS about them. This cannot be approved. "
    "Sync again.",
    "source_stale": "Find out whether the SIS still passes its changes on. If it is only a quiet time, approve.",
    "older_source": "Find out why the SIS shows an earlier day. It may be an old file or a restored server. Discard, "
    "and sync again once it is up to date. Approve only if the earlier day is right.",
    "unlike_before": "Check in the SIS what it shares with this client, and whether its vendor changed something. "
    "If it is right, approve: from then on it counts as usual.",
    "people_missing": "Check in the SIS whether this School ID still means this school, and what is shared with us. "
    "At the end of a school year this can be right.",
    "strangers": "Look at a few of the new people. If they do not belong to this school, discard and check the "
    "School ID.",
    "lower_grades": "Students seldom go down a grade. If the SIS sent an old file, discard and have the new one sent.",
    "moved_keys": "Compare a few of these rows with the SIS. If a column or a join slipped there, discard and "
    "have it corrected; if the values are right, approve.",
    "small_role": "It is held because a larger role is held. Decide about the larger role first. One approval lets "
    "both through.",
    "role_changes": "Check a few of these people in the SIS: did their role change, or only how the SIS names it?",
    "rekeyed": "If the SIS changed its ids (an upgrade, a move), relink: people get their new ids and nothing else is "
    "changed. If the ids are wrong, discard and have the SIS corrected.",
    "reassigned_ids": "The conflicts of this plan are those people. If the SIS mixed up its ids, discard and have it "
    "corrected. If the ids went to newcomers, unlink them and sync again.",
    "empty_role": "Check in the SIS what it shares with this client. Approve only if the school really has nobody left "
    "in this role.",
    "no_orgs": "The SIS sent people without saying to which school they belong. If they have left, approve; "
    "if not, discard and have that corrected.",
    "unknown_orgs": "Check how the users of the SIS name their schools, and which orgs it shares. If all else is "
    "right, approve.",
    "shrunk_role": "Check a few of the missing people in the SIS. At the end of a school year this can be right.",
    "archivals": "Check a few of these people in the SIS. If they have left, approve; if not, discard.",
    "archive_most": "Check a few of these people in the SIS. If they have left, approve; if not, discard.",
    "creations": "Check whether these people are new, or are in the directory under another id.",
    "claimed_people": "Ask the district or the other school whether these people are here too. If so, the district's "
    "manager approves, or an owner of all schools that have them now. Link single people on their own page.",
    "quality": "Look at the records that fail the rule. Have them corrected in the SIS; approve if people did leave.",
    "no_quality": "Sync again. If the rule still gives no result, an operator finds the cause in the log of the run.",
    "restores": "Check a few of these people in the SIS. If they are back, or were archived by mistake, approve. If "
    "the SIS made people active who left years ago, discard, and correct that in the SIS.",
    "updates": "Look at a few rows. If nearly everybody changes, the cause is often a setting of the SIS.",
    "key_updates": "These values identify people, or say who is called or who may log in. If many people lose a value, "
    "the export may no longer have that column. Look at a few rows before letting so many change.",
    "rejected": "Look at the records that could not be used, and have them corrected in the SIS.",
    "blackout": "The school's calendar says that nothing changes now. The hold ends when these dates are over. "
    "If it must happen now, approve.",
    "add_only": "The school's calendar says that people are only added now. The hold ends when these dates are "
    "over. If it must happen now, approve.",
    "first_sync": "Look through the rows: are these the school's people? Then approve.",
}
"""For each guard, what to do about its findings."""
