"""The error codes of the dialect (spec §2.2, §11), as the clients compare them."""

JWT_INVALID = "authentication/jwt/invalid"
TOKEN_EXPIRED = "authentication/expired"
MISSING_TOKEN = "authentication/missing_token"
INVALID_SUBJECT = "services/chatkit_authorizer/authorization/invalid_token_subject"
MISSING_PERMISSION = "services/chatkit_authorizer/authorization/missing_permission"
UNUSABLE_PATH = "services/chatkit_authorizer/authorization/url_param_parsing_failed"

INVALID_GRANT_TYPE = "token_provider/invalid_grant_type"
INVALID_REFRESH_TOKEN = "token_provider/invalid_refresh_token"

USER_EXISTS = "services/chatkit/user_already_exists"
USERS_NOT_FOUND = "services/chatkit/bad_request/users_not_found"
DUPLICATE_ROOM = "services/chatkit/bad_request/duplicate_room_id"
MALFORMED_JSON = "services/chatkit/bad_request/malformed_json"

FORBIDDEN = "services/chatkit/forbidden/"
NOT_A_MEMBER = f"{FORBIDDEN}not_a_member"
PRIVATE_ROOM = f"{FORBIDDEN}private_room"
SIGNATURE_INVALID = f"{FORBIDDEN}signature_invalid"

ROLE_EXISTS = "services/chatkit_authorizer/role_already_exists"
ROLE_NOT_FOUND = "services/chatkit_authorizer/not_found/role_not_found"
ROLE_VALIDATION_FAILED = "services/chatkit_authorizer/unprocessable_entity/validation_failed"
JOB_NOT_FOUND = "services/chatkit_scheduler/not_found/job_not_found"

ATTACHMENT_IN_USE = "services/chatkit/bad_request/attachment_in_use"
SIZE_MISMATCH = "services/chatkit/bad_request/size_mismatch"
FILE_TOO_LARGE = "services/chatkit/file_too_large"
MALFORMED_FORM = "services/chatkit_files/bad_request/malformed_form"
FILES_VALIDATION_FAILED = "services/chatkit_files/unprocessable_entity/validation_failed"

USER_NOT_FOUND = "services/chatkit/not_found/user_not_found"
ROOM_NOT_FOUND = "services/chatkit/not_found/room_not_found"
ATTACHMENT_NOT_FOUND = "services/chatkit/not_found/attachment_not_found"
MESSAGE_NOT_FOUND = "services/chatkit/not_found/message_not_found"
ROUTE_NOT_FOUND = "not_found/route"

VALIDATION_FAILED = "services/chatkit/unprocessable_entity/validation_failed"
MESSAGE_TOO_LARGE = "services/chatkit/unprocessable_entity/message_size_limit_exceeded"
CURSOR_VALIDATION_FAILED = "services/chatkit_cursors/unprocessable_entity/validation_failed"

METHOD_NOT_ALLOWED = "method_not_allowed"
REQUEST_TOO_LARGE = "request_too_large"
