//! What the included files name and the checks have no use for.

pub(crate) mod challenge {
    pub(crate) struct Challenge;
    pub(crate) struct ChallengeDisposition;
}

pub(crate) mod body {
    #[derive(Clone, Debug)]
    pub struct Body;
}

pub(crate) mod configuration {
    pub(crate) struct Configuration;
}

pub(crate) mod download {
    pub(crate) struct DownloadedFile;
}

pub(crate) mod metrics {
    #[derive(Debug)]
    pub struct TaskMetrics;
}

pub(crate) mod request {
    #[derive(Clone, Debug)]
    pub struct Request;

    impl Request {
        pub(crate) fn get_url(&self) -> Option<&url::Url> {
            None
        }
    }
}

pub(crate) mod response {
    #[derive(Clone, Debug)]
    pub struct Response<T>(pub T);

    /// What a response ended in, here bytes.
    pub(crate) type Content = bytes::Bytes;
}

pub(crate) mod resolve {
    pub(crate) struct Names;
}

pub(crate) mod resume {
    #[derive(Clone, Debug)]
    pub struct ResumeData;
}

pub(crate) mod storage {
    #[derive(Clone, Debug)]
    pub struct CachedResponse;

    pub(crate) struct Stores;
}

pub(crate) mod transport {
    use shuttle::sync::atomic::{AtomicBool, Ordering};
    use std::sync::Arc;

    pub(crate) struct Buffers;

    impl Buffers {
        pub(crate) fn new() -> Self {
            Buffers
        }
    }

    #[derive(Clone, Copy, Debug, Default)]
    pub(crate) struct Asker {
        pub(crate) task: u64,
        pub(crate) has_own_delegate: bool,
    }

    /// A connection that knows when it was made and whether its peer is there.
    pub(crate) struct Connection {
        /// The flush before which it was opened, by the check's count.
        pub(crate) generation: u64,
        pub(crate) exchanges: u32,
        pub(crate) clean: bool,
        pub(crate) is_personal: bool,
        pub(crate) alive: Arc<AtomicBool>,
    }

    impl Connection {
        pub(crate) fn is_reusable(&mut self) -> bool {
            self.clean
        }

        pub(crate) fn close(self) {}

        pub(crate) fn is_good_for(&self, _: Asker) -> bool {
            true
        }

        pub(crate) fn is_alive(&mut self) -> bool {
            self.alive.load(Ordering::SeqCst)
        }

        pub(crate) fn release_buffers(&mut self) {}
    }
}
