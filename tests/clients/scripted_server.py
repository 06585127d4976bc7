"""Not Drover: a server that plays the calls of the example clients, for tests of the clients themselves.

    python3 scripted_server.py [FAULT]

Prints its address and serves until it is ended. It is awkward where a real controller may be: the first create finds
no agent, a watch breaks off, is rotated, and is refused once because its resume token is too old. With a FAULT it is
wrong as well, and a client must say so: `lost-row`, `blocked`, `other-reason`, `no-details`, `lasting` (a watch
without an end) or `deleted`.
"""

import re
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import grpc
from drover.v1 import entity_pb2, event_pb2, migration_pb2, migration_service_pb2 as api
from drover.v1.migration_service_pb2_grpc import MigrationServiceServicer, add_MigrationServiceServicer_to_server
from google.protobuf.any_pb2 import Any
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status


class Script(MigrationServiceServicer):
    """One migration at a time, from create to the end of its watch."""

    def __init__(self, fault: str):
        self.fault = fault
        self.asked: str | None = None  # request_id of the create that was not served
        self.tokens: list[str] = []  # resume tokens of the watches so far
        self.migration: migration_pb2.MigrationOrchestration | None = None

    def refuse(self, context, code: grpc.StatusCode, reason: str, message: str, *more):
        """Ends a call with a status, an ErrorInfo and more details."""
        details = [ErrorInfo(reason="SOMETHING" if self.fault == "other-reason" else reason, domain="drover"), *more]
        status = Status(code=code.value[0], message=message)
        for detail in details:
            packed = Any()
            packed.Pack(detail)
            status.details.append(packed)
        if self.fault != "no-details":
            context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
        context.abort(code, message)

    def CreateMigration(self, request, context):
        if not self.asked:
            self.asked = request.request_id
            retry = RetryInfo()
            retry.retry_delay.FromMilliseconds(10)
            self.refuse(context, grpc.StatusCode.UNAVAILABLE, "NO_AGENT", "no agent has both connections", retry)
        name = re.search(r"^name: *(\S+)", request.plan, re.MULTILINE).group(1)
        if self.migration:
            message = f'a migration named "{name}" exists'
            self.refuse(context, grpc.StatusCode.ALREADY_EXISTS, "NAME_TAKEN", message)
        if request.request_id != self.asked:
            message = "the repeated create came under another request_id"
            self.refuse(context, grpc.StatusCode.INTERNAL, "SCRIPT", message)
        pending = migration_pb2.MIGRATION_STATUS_PENDING
        self.migration = migration_pb2.MigrationOrchestration(name=name, status=pending, total_entities=2)
        return api.CreateMigrationResponse(migration=self.migration)

    def GetMigration(self, request, context):
        message = f'there is no migration "{request.name}"'
        self.refuse(context, grpc.StatusCode.NOT_FOUND, "MIGRATION_NOT_FOUND", message)

    def StartMigration(self, request, context):
        self.migration.status = migration_pb2.MIGRATION_STATUS_RUNNING
        return api.StartMigrationResponse(migration=self.migration)

    def WatchMigration(self, request, context):
        self.tokens.append(request.resume_token)
        match self.tokens:
            case [""]:
                yield self.snapshot("one")
                yield api.WatchMigrationResponse(resume_token="two", entity=self.entity("visits", 40))
                context.abort(grpc.StatusCode.UNAVAILABLE, "the connection broke")
            case ["", "two"]:
                yield api.WatchMigrationResponse(resume_token="three", bookmark=api.Bookmark())
                end = api.StreamEnd(reason=api.STREAM_END_REASON_ROTATE, message="the stream is old")
                yield api.WatchMigrationResponse(resume_token="four", end=end)
            case ["", "two", "four"]:
                self.refuse(context, grpc.StatusCode.OUT_OF_RANGE, "RESUME_TOKEN_EXPIRED", "no longer kept")
            case ["", "two", "four", ""]:
                yield self.snapshot("five")
                if self.fault == "lasting":
                    threading.Event().wait()
                yield from self.finish()
            case _:
                message = f"watched from {self.tokens}"
                self.refuse(context, grpc.StatusCode.INTERNAL, "SCRIPT", message)

    def finish(self):
        """The last rows and the end."""
        yield api.WatchMigrationResponse(resume_token="six", entity=self.entity("visits", 100))
        event = event_pb2.Event(id=1, event_type="entity_completed", data=event_pb2.EventData(entity="visits"))
        yield api.WatchMigrationResponse(resume_token="seven", event=event)
        if self.fault != "blocked":
            self.migration.status = migration_pb2.MIGRATION_STATUS_COMPLETED
        self.migration.progress_percentage = 100
        self.migration.completed_entities = 2
        yield api.WatchMigrationResponse(resume_token="eight", migration=self.migration)
        deleted = self.fault == "deleted"
        reason = api.STREAM_END_REASON_DELETED if deleted else api.STREAM_END_REASON_ENDED
        yield api.WatchMigrationResponse(resume_token="nine", end=api.StreamEnd(reason=reason))

    def snapshot(self, token: str):
        entities = [
            self.entity("patients", 10),
            self.entity("visits", 0),
            entity_pb2.EntityMigrationStatus(entity="notes", status=entity_pb2.ENTITY_STATUS_SKIPPED),
        ]
        snapshot = api.MigrationSnapshot(migration=self.migration, entities=entities)
        return api.WatchMigrationResponse(resume_token=token, snapshot=snapshot)

    def entity(self, name: str, read: int):
        """An entity with a failed and a skipped row; the fault loses one."""
        total = {"patients": 10, "visits": 100}[name]
        lost = 1 if self.fault == "lost-row" and read == 100 else 0
        done = read == total
        return entity_pb2.EntityMigrationStatus(
            entity=name,
            status=entity_pb2.ENTITY_STATUS_COMPLETED if done else entity_pb2.ENTITY_STATUS_RUNNING,
            records_total=total,
            records_total_exact=True,
            records_read=read,
            records_processed=max(read - 1 - lost, 0),
            records_failed=min(read, 1),
            records_skipped=1 if read > 1 else 0,
            records_written=max(read - 2 - lost, 0),
        )


def main() -> None:
    server = grpc.server(ThreadPoolExecutor(max_workers=8, thread_name_prefix="call"))
    add_MigrationServiceServicer_to_server(Script(sys.argv[1] if len(sys.argv) > 1 else ""), server)
    print(f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}", flush=True)
    server.start()
    server.wait_for_termination()


if __name__ == "__main__":
    main()
