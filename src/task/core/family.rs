//! Tasks that work for another one, the connections of a download that has several, or for their session.
//!
//! A child is nobody's task but its parent's. The session does not list or count it, no delegate hears
//! of it, and it has no priority, suspension or time limit of its own: it asks its parent. The parent
//! holds its children, and lets go of them when its own work ends.
//!
//! Lock: the parent's `TaskCore::shared`.

use super::{Context, Kind, Place, TaskCore, Work};
use crate::request::Request;
use crate::sync::{Arc, lock};

impl TaskCore {
    /// Makes a task that works for the session, and starts it. It is not listed or counted, and no delegate
    /// hears of it; the session lives as long as it does, and cancels it when it cancels its tasks.
    pub(crate) fn begin_aside(context: &Arc<Context>, kind: Kind, request: Request, work: Box<dyn Work>) {
        let core = TaskCore::make(context, kind, request, work, None, Place::Hidden);
        if context.registry.insert(core.id, &core) {
            core.resume();
        }
    }

    /// Makes a task that works for this one, and starts it.
    pub(crate) fn begin_child(self: &Arc<Self>, request: Request, work: Box<dyn Work>) {
        let child =
            TaskCore::make(&self.context, self.kind(), request, work, None, Place::Under(Arc::clone(self)));
        lock(&self.shared).children.push(Arc::clone(&child));
        child.resume();
    }

    /// The task that this one works for.
    pub(crate) fn parent(&self) -> Option<&Arc<TaskCore>> {
        self.parent.as_ref()
    }

    /// A child has ended.
    pub(crate) fn let_go(self: &Arc<Self>, child: &TaskCore) {
        let mut shared = lock(&self.shared);
        let at = shared.children.iter().position(|known| known.id == child.id);
        let child = at.map(|at| shared.children.swap_remove(at));
        drop(shared);
        drop(child);
        self.wake();
    }

    /// Ends those who work for this task. One that is being carried on ends when it next looks up.
    pub(crate) fn cancel_children(&self) {
        for child in self.children() {
            child.cancel();
        }
    }

    /// The children have something to look at.
    pub(super) fn wake_children(&self) {
        for child in self.children() {
            child.wake();
        }
    }

    /// Has whoever sits in a receive for this task look up.
    pub(crate) fn interrupt(self: &Arc<Self>) {
        for socket in lock(&self.interrupt).iter() {
            socket.shutdown();
        }
        self.wake();
    }

    fn children(&self) -> Vec<Arc<TaskCore>> {
        lock(&self.shared).children.clone()
    }
}
