"""cmstream/transport/grpc/server.py, servicer.py, auth.py: the endpoint around the calls."""

from __future__ import annotations

import asyncio
import contextlib

import grpc
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest
from grpc_reflection.v1alpha.reflection_pb2_grpc import ServerReflectionStub

from cmstream import __version__
from cmstream.core.errors import ConfigurationError
from cmstream.v1.control_pb2 import OpenStream
from cmstream.v1.style_service_pb2 import GetCapabilitiesRequest, StreamRequest
from tests.transport.grpc.dialogue import connected, dialogue, picture
from tests.transport.grpc.serving import serving

SERVING, NOT_SERVING = HealthCheckResponse.SERVING, HealthCheckResponse.NOT_SERVING
TOKEN = {"auth": {"token": "correct horse"}}


async def health(address: str, service: str = "cmstream.v1.StyleService") -> int:
    async with grpc.aio.insecure_channel(address) as channel:
        answer: HealthCheckResponse = await HealthStub(channel).Check(HealthCheckRequest(service=service))
        return int(answer.status)


async def test_capabilities_tell_models_parameters_limits_and_formats() -> None:
    async with serving({"engine": {"size_px": 256}}) as server, connected(server.address) as stub:
        answer = await stub.GetCapabilities(GetCapabilitiesRequest())
        assert answer.server_version == __version__
        (model,) = answer.models
        assert (model.name, list(model.styles)) == ("fake", ["invert", "grey"])
        parameters = {parameter.name: parameter for parameter in model.parameters}
        assert {"style", "strength", "seed", "transition_ms"} <= parameters.keys()
        assert (parameters["strength"].minimum, parameters["strength"].maximum) == (0.0, 1.0)
        assert parameters["strength"].HasField("minimum")
        assert not parameters["style"].HasField("minimum")
        assert list(parameters["style"].choices) == ["invert", "grey"]
        assert parameters["style"].default_value.string_value == "invert"
        assert answer.limits.working_size_px == 256
        assert answer.limits.max_frame_bytes >= 1920 * 1080 * 3
        assert list(answer.pixel_formats) == [1, 2]


async def test_capabilities_are_unavailable_while_the_model_is_loading() -> None:
    async with serving(loaded=False) as server, connected(server.address) as stub:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.GetCapabilities(GetCapabilitiesRequest())
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


@pytest.mark.parametrize("token", [None, "", "wrong", "correct horse ", "correct hors"])
async def test_without_the_token_every_method_refuses_at_once(token: str | None) -> None:
    async with serving(TOKEN) as server, dialogue(server.address, token) as client, connected(server.address) as stub:
        error = await client.refusal()  # before a message was sent
        assert error.code() is grpc.StatusCode.UNAUTHENTICATED
        assert "authorization" in str(error.details())
        metadata = () if token is None else (("authorization", f"Bearer {token}"),)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.GetCapabilities(GetCapabilitiesRequest(), metadata=metadata)
        assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
        assert server.registry.sessions() == ()


async def test_the_token_opens_and_health_needs_none() -> None:
    async with serving(TOKEN) as server, dialogue(server.address, "correct horse") as client:
        await client.open("studio")
        await client.frame(0, picture())
        await client.hear("frame")
        assert await health(server.address) == SERVING


async def test_two_tokens_are_none() -> None:
    async with serving(TOKEN) as server, connected(server.address) as stub:
        both = (("authorization", "Bearer correct horse"), ("authorization", "Bearer guess"))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.GetCapabilities(GetCapabilitiesRequest(), metadata=both)
        assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_health_follows_loading_serving_and_draining() -> None:
    async with serving(loaded=False) as server:
        assert await health(server.address) == NOT_SERVING
        await server.grpc.announce(True)
        assert await health(server.address) == SERVING
        assert await health(server.address, "") == SERVING
        await server.grpc.drain(0.1)
        assert await health(server.address) == NOT_SERVING
        assert await health(server.address, "") == NOT_SERVING


async def test_a_drain_tells_every_call_serves_it_meanwhile_then_ends_it() -> None:
    async with serving() as server, dialogue(server.address) as client:
        await client.open("studio")
        async with asyncio.TaskGroup() as group:
            server.registry.drain()
            draining = group.create_task(server.grpc.drain(0.5))
            assert (await client.hear("draining")).draining.grace_ms == 500
            await client.frame(0, picture())
            await client.hear("frame")
            async with dialogue(server.address) as late:
                with contextlib.suppress(grpc.RpcError):  # the refusal may come before there is anything to refuse
                    await late.say(StreamRequest(open=OpenStream()))
                refused = await late.refusal()
            assert not draining.done()
            error = await client.refusal()
        for status in (refused, error):
            assert status.code() is grpc.StatusCode.UNAVAILABLE
            assert "shutting down" in str(status.details())


async def test_a_drain_ends_as_soon_as_the_last_call_has() -> None:
    async with serving() as server, dialogue(server.address) as client:
        await client.open("studio")
        async with asyncio.timeout(5), asyncio.TaskGroup() as group:
            group.create_task(server.grpc.drain(60))
            await client.hear("draining")
            await client.finish()
            assert await client.hear_all() == []


async def test_closing_ends_calls_frees_the_port_and_may_be_done_twice() -> None:
    async with serving() as server, dialogue(server.address) as client:
        await client.open("studio")
        port = int(server.address.rpartition(":")[2])
        await server.grpc.close()
        await server.grpc.close()
        error = await client.refusal()
        assert error.code() is grpc.StatusCode.UNAVAILABLE
        async with serving({"grpc": {"port": port}}) as again:
            assert again.address == server.address


async def test_two_servers_never_share_a_port() -> None:
    async with serving() as server:
        port = int(server.address.rpartition(":")[2])
        with pytest.raises(ConfigurationError, match="is the port taken"):
            async with serving({"grpc": {"port": port}}):
                pass


async def test_reflection_is_off_unless_asked_for() -> None:
    for wanted in (False, True):
        async with serving({"grpc": {"reflection": wanted}}) as server, grpc.aio.insecure_channel(server.address) as channel:
            call = ServerReflectionStub(channel).ServerReflectionInfo(iter([ServerReflectionRequest(list_services="")]))
            if wanted:
                services = [service.name async for answer in call for service in answer.list_services_response.service]
                assert "cmstream.v1.StyleService" in services
            else:
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await call.read()
                assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_a_unix_socket_serves_too(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("s") / "g"
    async with serving({"grpc": {"host": f"unix:{path}"}}) as server:
        assert server.address == f"unix:{path}"
        async with dialogue(server.address) as client:
            await client.open()
            await client.frame(0, picture())
            await client.hear("frame")
