"""Files and columns of the CSV binding, in the order the standard demands."""

from roster_pipeline.simulator.payload import V11

BASE = ("sourcedId", "status", "dateLastModified")
_PERSON_NAMES = ("username", "userIds", "givenName", "familyName", "middleName", "identifier", "email", "sms", "phone")

SHARED_COLUMNS: dict[str, tuple[str, ...]] = {
    "academicSessions": (*BASE, "title", "type", "startDate", "endDate", "parentSourcedId", "schoolYear"),
    "orgs": (*BASE, "name", "type", "identifier", "parentSourcedId"),
    "courses": (
        *BASE, "schoolYearSourcedId", "title", "courseCode", "grades", "orgSourcedId", "subjects", "subjectCodes",
    ),
    "classes": (
        *BASE, "title", "grades", "courseSourcedId", "classCode", "classType", "location", "schoolSourcedId",
        "termSourcedIds", "subjects", "subjectCodes", "periods",
    ),
    "enrollments": (
        *BASE, "classSourcedId", "schoolSourcedId", "userSourcedId", "role", "primary", "beginDate", "endDate",
    ),
    "demographics": (
        *BASE, "birthDate", "sex", "americanIndianOrAlaskaNative", "asian", "blackOrAfricanAmerican",
        "nativeHawaiianOrOtherPacificIslander", "white", "demographicRaceTwoOrMoreRaces", "hispanicOrLatinoEthnicity",
        "countryOfBirthCode", "stateOfBirthAbbreviation", "cityOfBirth", "publicSchoolResidenceStatus",
    ),
}  # fmt: skip
USERS_11 = (*BASE, "enabledUser", "orgSourcedIds", "role", *_PERSON_NAMES, "agentSourcedIds", "grades", "password")
USERS_12 = (
    *BASE, "enabledUser", *_PERSON_NAMES, "agentSourcedIds", "grades", "password", "userMasterIdentifier",
    "preferredGivenName", "preferredMiddleName", "preferredFamilyName", "primaryOrgSourcedId", "pronouns",
)  # fmt: skip
ROLES = (
    *BASE, "userSourcedId", "roleType", "role", "beginDate", "endDate", "orgSourcedId", "userProfileSourcedId",
)  # fmt: skip

OTHER_FILES_11 = ("categories", "classResources", "courseResources", "lineItems", "resources", "results")
OTHER_FILES_12 = (
    *OTHER_FILES_11, "lineItemLearningObjectiveIds", "lineItemScoreScales", "resultLearningObjectiveIds",
    "resultScoreScales", "scoreScales", "userProfiles", "userResources",
)  # fmt: skip
"""Files the manifest must name although this export has none of them."""


def columns_of(version: str) -> dict[str, tuple[str, ...]]:
    """The columns of each file this export writes, by file name without extension."""
    if version == V11:
        return {**SHARED_COLUMNS, "users": USERS_11}
    return {**SHARED_COLUMNS, "users": USERS_12, "roles": ROLES}
