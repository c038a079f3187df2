"""From a reply to bytes on the wire."""

from starlette.responses import Response

from roster_pipeline.simulator.call import Call, Reply
from roster_pipeline.simulator.sis import Sis


async def respond(sis: Sis, call: Call, reply: Reply) -> Response:
    """The response that is sent for a reply."""
    return Response(reply.content(), reply.status, reply.headers, reply.media_type)
