//! Every reason there is: one list, each with its code and what it means.

use tonic::Code;

macro_rules! reasons {
    ($( $(#[$meta:meta])* $variant:ident = $text:literal, $code:ident; )+) => {
        /// Why a call was refused or failed, for programs: stands in the ErrorInfo. Programs may rely on
        /// these texts; more may come.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Reason {
            $( $(#[$meta])* $variant, )+
        }

        impl Reason {
            /// Every reason.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// Upper snake case, at most 63 letters.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }

            /// The code that goes with it.
            pub const fn code(self) -> Code {
                match self { $(Self::$variant => Code::$code,)+ }
            }
        }
    };
}

reasons! {
    /// A field of the request is not valid; BadRequest names it.
    FieldInvalid = "FIELD_INVALID", InvalidArgument;
    /// A message cannot be understood; the metadata name the field.
    FrameInvalid = "FRAME_INVALID", InvalidArgument;
    /// The plan has problems; BadRequest lists them with their paths.
    PlanInvalid = "PLAN_INVALID", InvalidArgument;
    /// A page token that was made for another list, or by another order.
    PageTokenMismatch = "PAGE_TOKEN_MISMATCH", InvalidArgument;
    /// A request id that another command had.
    RequestIdReused = "REQUEST_ID_REUSED", InvalidArgument;
    /// No such migration.
    MigrationNotFound = "MIGRATION_NOT_FOUND", NotFound;
    /// No such entity in the migration.
    EntityNotFound = "ENTITY_NOT_FOUND", NotFound;
    /// No such error.
    ErrorNotFound = "ERROR_NOT_FOUND", NotFound;
    /// No such row, or none that was migrated.
    MappingNotFound = "MAPPING_NOT_FOUND", NotFound;
    /// No such rules.
    RulesNotFound = "RULES_NOT_FOUND", NotFound;
    /// No such validation.
    ValidationNotFound = "VALIDATION_NOT_FOUND", NotFound;
    /// No such agent.
    AgentNotFound = "AGENT_NOT_FOUND", NotFound;
    /// The beginning of an id, or a name, means more than one.
    NameAmbiguous = "NAME_AMBIGUOUS", NotFound;
    /// A migration of this name is there.
    NameTaken = "NAME_TAKEN", AlreadyExists;
    /// An agent of this name is connected.
    AgentNameTaken = "AGENT_NAME_TAKEN", AlreadyExists;
    /// The subject was changed since the etag was read.
    EtagMismatch = "ETAG_MISMATCH", Aborted;
    /// Another holder has the partition, or another controller the migration.
    Fenced = "FENCED", Aborted;
    /// The command does not fit the state of the migration.
    IllegalState = "ILLEGAL_STATE", FailedPrecondition;
    /// The migration is under way and would have to stand still.
    UnderWay = "UNDER_WAY", FailedPrecondition;
    /// Another version of the agent stream.
    ProtocolVersion = "PROTOCOL_VERSION", FailedPrecondition;
    /// Another version of compiled plans.
    CodecVersion = "CODEC_VERSION", FailedPrecondition;
    /// The database is not what the plan was compiled for.
    SchemaDrift = "SCHEMA_DRIFT", FailedPrecondition;
    /// Another server is behind the connection.
    IdentityChanged = "IDENTITY_CHANGED", FailedPrecondition;
    /// The plan differs from the one that was started.
    PlanChanged = "PLAN_CHANGED", FailedPrecondition;
    /// The source's point in time is lost.
    SnapshotLost = "SNAPSHOT_LOST", FailedPrecondition;
    /// The source was written to although the plan calls it frozen.
    SourceWritten = "SOURCE_WRITTEN", FailedPrecondition;
    /// More rows failed than the plan allows.
    TooManyErrors = "TOO_MANY_ERRORS", FailedPrecondition;
    /// A rule stops the run at a row.
    RowRefused = "ROW_REFUSED", FailedPrecondition;
    /// A constraint cannot be put back over the rows.
    ConstraintBroken = "CONSTRAINT_BROKEN", FailedPrecondition;
    /// Rows stand in the way of a rollback.
    UndoConflict = "UNDO_CONFLICT", FailedPrecondition;
    /// The name that was to be typed is not the right one.
    NotConfirmed = "NOT_CONFIRMED", FailedPrecondition;
    /// Something still needs what was to be removed.
    StillNeeded = "STILL_NEEDED", FailedPrecondition;
    /// A schema change needs the operator's word first.
    Unconfirmed = "UNCONFIRMED", FailedPrecondition;
    /// A schema change cannot be made, or a check took it back.
    ChangeRefused = "CHANGE_REFUSED", FailedPrecondition;
    /// Another process runs this migration.
    AlreadyRunning = "ALREADY_RUNNING", FailedPrecondition;
    /// The resume token is too old: what it stands for is not kept any more.
    ResumeTokenExpired = "RESUME_TOKEN_EXPIRED", OutOfRange;
    /// One agent after the other was lost over the same work.
    AgentsLost = "AGENTS_LOST", FailedPrecondition;
    /// A database refused user, password or right.
    Denied = "DENIED", PermissionDenied;
    /// Disk, memory or connections of a server are used up.
    Exhausted = "EXHAUSTED", ResourceExhausted;
    /// The agent does not take its orders.
    StreamStalled = "STREAM_STALLED", ResourceExhausted;
    /// The agent did not say hello in time.
    HelloMissing = "HELLO_MISSING", DeadlineExceeded;
    /// A statement took too long.
    Timeout = "TIMEOUT", DeadlineExceeded;
    /// This controller does not lead; the metadata may name the one that does.
    NotLeader = "NOT_LEADER", Unavailable;
    /// No agent is connected that could do it.
    NoAgent = "NO_AGENT", Unavailable;
    /// A server cannot be reached.
    Unreachable = "UNREACHABLE", Unavailable;
    /// Locks are in the way; the same again may work.
    Busy = "BUSY", Unavailable;
    /// A bug of ours.
    Internal = "INTERNAL", Internal;
}

impl Reason {
    /// The reason of that text, where this build knows it.
    pub fn parse(text: &str) -> Option<Self> {
        let mut all = Self::ALL.iter().copied();
        all.find(|reason| reason.as_str() == text)
    }
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}
