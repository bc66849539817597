/**
 * Every word that the plugin shows or says, in English and in German. To add a language: another constant of the type `Texts`, and a
 * line in `LANGUAGES`; the compiler names what is missing.
 */
import type { Alert, AssistStatus, FailureCode, ListeningNote, NotHelpfulReason, SuggestionView, Unconfigured } from '../core/model';

interface Words {
  /** What happened, in a few words. */
  readonly title: string;
  /** What it means, and who does what now. */
  readonly body: string;
}

/** Names of what the agent can do with a call or a card; also in Flex's own list of keyboard shortcuts. */
export type ShortcutName = 'copy' | 'insert' | 'dismiss' | 'helpful' | 'notHelpful' | 'startStop' | 'pauseResume' | 'goToPanel';

export interface Texts {
  readonly panel: string;
  readonly tabs: { readonly label: string; readonly suggestions: string; readonly transcript: string };
  readonly state: Readonly<Record<AssistStatus['state'], string>>;
  readonly pausedByHold: string;
  readonly off: Readonly<Record<Extract<AssistStatus, { state: 'off' }>['why'], Words>>;
  readonly starting: Words;
  readonly listening: Words;
  /** While it listens. */
  readonly notes: Readonly<Record<ListeningNote, Words>>;
  readonly paused: Words;
  readonly pausedOnHold: Words;
  readonly budgetSpent: Words;
  readonly reconnecting: Readonly<Record<'model' | 'sync', Words>>;
  readonly moved: Readonly<Record<'server' | 'agent', Words>>;
  readonly notConfigured: Readonly<Record<Unconfigured, (queue: string) => Words>>;
  readonly failure: Readonly<Record<FailureCode, Words>>;
  readonly failed: string;
  readonly fromServer: string;
  readonly twilioCode: (code: number) => string;
  readonly readOnly: Words;
  readonly loading: string;
  readonly nothingYet: Words;

  readonly start: string;
  readonly stop: string;
  readonly pause: string;
  readonly resume: string;
  readonly retry: string;
  readonly signIn: string;
  readonly busy: Readonly<Record<'start' | 'stop' | 'pause' | 'resume', string>>;
  readonly alert: Readonly<Record<Alert['command'], { readonly stillSent: Words; readonly other: Words }>>;
  readonly close: string;

  readonly list: string;
  /** A draft's time. */
  readonly now: string;
  /** An early draft's time: the customer may go on. */
  readonly early: string;
  readonly writing: string;
  readonly noQuestion: string;
  readonly newSuggestion: string;
  readonly truncated: string;
  readonly sources: string;
  readonly opensInNewTab: string;
  readonly leftOut: (categories: string) => string;
  /** Of kinds that the server is known to name; others are shown as the server names them. */
  readonly kinds: Readonly<Record<string, string>>;
  readonly categories: Readonly<Record<string, string>>;

  readonly copy: string;
  readonly copied: string;
  readonly insert: string;
  readonly inserted: string;
  readonly insertedNowhere: string;
  readonly useFailed: string;
  readonly edit: string;
  readonly editLabel: string;
  readonly copyEdited: string;
  readonly insertEdited: string;
  readonly cancel: string;
  readonly dismiss: string;
  readonly dismissed: string;
  readonly undo: string;
  readonly more: string;
  readonly helpful: string;
  readonly notHelpful: string;
  readonly whyNotHelpful: string;
  readonly reasons: Readonly<Record<NotHelpfulReason, string>>;
  readonly thanks: string;
  readonly feedbackFailed: string;
  readonly feedbackNotMine: string;
  readonly tryAgain: string;

  readonly transcript: string;
  readonly customer: string;
  readonly agent: string;
  readonly noTranscript: Words;
  readonly toNewest: string;

  readonly announceSuggestion: (question: string, answer: string) => string;
  readonly announceUsed: Readonly<Record<Exclude<SuggestionView['used'], 'no'>, string>>;

  readonly shortcuts: string;
  readonly shortcutNames: Readonly<Record<ShortcutName, string>>;
  readonly shortcutsAnywhere: string;
  readonly shortcutsInCard: string;
  readonly cardKeys: Readonly<Record<'move' | 'ends' | 'copy' | 'insert' | 'edit' | 'dismiss' | 'helpful' | 'notHelpful', string>>;
  readonly keyNames: { readonly ctrlShift: string; readonly arrows: string; readonly ends: string };

  readonly crashed: Words;
  readonly crashedRetry: string;
}

const ADMIN_EN = 'Tell your administrator';
const ADMIN_DE = 'Melden Sie es Ihrer Administration';

const EN: Texts = {
  panel: 'Voice assist',
  tabs: { label: 'Parts of the voice assist', suggestions: 'Suggestions', transcript: 'Transcript' },
  state: {
    off: 'Off',
    starting: 'Starting',
    listening: 'Listening',
    paused: 'Paused',
    reconnecting: 'Reconnecting',
    moved: 'Moved',
    failed: 'Failed',
    notConfigured: 'Not set up',
  },
  pausedByHold: 'Paused (hold)',
  off: {
    notStarted: { title: 'The assist is off', body: 'Start it to get suggestions while the customer speaks. Nothing of this call is sent to it now.' },
    stopped: { title: 'The assist is off', body: 'It was stopped. Nothing of this call is sent to it now. You can start it again.' },
    callEnded: { title: 'The call has ended', body: 'The assist ended with it. The suggestions stay here until you complete the task.' },
  },
  starting: { title: 'Starting', body: 'The call is being connected to the assist. This takes a second or two.' },
  listening: { title: 'Listening', body: 'The assist hears both sides of this call.' },
  notes: {
    audioFormat: { title: 'The assist hears only noise', body: `${ADMIN_EN}: the audio format of the model in the VoiceAssist is wrong. No suggestions will come.` },
    agentTrackLost: { title: 'The assist does not hear you', body: 'It hears the customer, and suggestions go on. What you say is missing from them and from the transcript.' },
    turnBlocked: { title: 'A suggestion was blocked', body: 'A policy of the language model’s service did not let it answer the last question. The assist goes on listening.' },
  },
  paused: { title: 'Paused', body: 'Nothing of this call is sent to the assist until you resume it.' },
  budgetSpent: { title: 'The budget is spent', body: 'No suggestions come until an administrator raises it, or the next day or month begins (00:00 UTC). Your call goes on. Nothing of it is sent to the assist.' },
  pausedOnHold: { title: 'Paused while the call is on hold', body: 'It goes on by itself when you take the call back.' },
  reconnecting: {
    model: { title: 'Reconnecting', body: 'The assist has lost its language model and is connecting again. What is said meanwhile is kept for it.' },
    sync: { title: 'This page is reconnecting', body: 'The assist goes on listening. Suggestions made meanwhile will appear when this page is connected again.' },
  },
  moved: {
    server: { title: 'Moving to another server', body: 'This happens by itself and takes a moment. The suggestions so far stay.' },
    agent: { title: 'Another agent has this call now', body: 'The assist went with the call. Start it here only if the call came back to you.' },
  },
  notConfigured: {
    noEntry: () => ({
      title: 'The assist is not set up',
      body: `${ADMIN_EN}: Flex knows no address of a VoiceAssist. A platform engineer applies a VoiceAssist resource with Flex configuration switched on, or sets the address in this plugin's configuration.`,
    }),
    noQueue: (queue) => ({
      title: 'The assist is not set up for this queue',
      body: `${ADMIN_EN}: no VoiceAssist serves the queue ${queue ? `“${queue}”` : 'of this task'}, and none is the default. A platform engineer adds the queue to a VoiceAssist, or makes one the default.`,
    }),
    badUrl: () => ({
      title: 'The address of the assist is wrong',
      body: `${ADMIN_EN}: the address in the Flex configuration is no https address. A platform engineer looks at the status of the VoiceAssist resource.`,
    }),
  },
  failure: {
    unreachable: { title: 'The assist cannot be reached', body: 'Your network or a firewall may block it. Try again; if it stays so, tell your administrator.' },
    timedOut: { title: 'The assist did not answer', body: 'It may be busy. Try again in a moment.' },
    signedOut: { title: 'Flex has signed you out', body: 'Sign in to Flex again, then start the assist.' },
    notAWorker: { title: 'You are not set up as a worker', body: `${ADMIN_EN}: Twilio knows no worker for your Flex user.` },
    notYourCall: { title: 'This call is not yours yet', body: 'Twilio does not say that you hold this call. Accept it, then try again.' },
    notRunning: { title: 'Nothing is running for this call', body: 'The agent in the call has not started the assist. Try again when it has been started.' },
    otherAgent: { title: 'Another agent has this call', body: 'Only the agent in the call can do this.' },
    originRefused: { title: 'This Flex page is not allowed', body: `${ADMIN_EN}: the address of this page must be added to functions.allowedOrigins of the VoiceAssist.` },
    callEnded: { title: 'The call has ended', body: 'Twilio has no such call in progress. If the caller is still on the line, tell your administrator.' },
    tooManyStreams: { title: 'Too many listeners on this call', body: 'All audio streams of this call are in use, for example by a recording or another assistant. Stop one of them, then try again.' },
    callLimit: { title: 'As many calls have the assist as may', body: 'Start it again when another call has ended. If this happens often, tell your administrator.' },
    tooManyRequests: { title: 'Asked too often', body: 'Wait a few seconds, then try again.' },
    busy: { title: 'The assist is busy', body: 'Try again in a moment.' },
    serverSetup: { title: 'The assist is not set up completely', body: `${ADMIN_EN}: a credential or an address of the server is missing or refused.` },
    serverError: { title: 'The assist has failed', body: 'The server could not do it. Try again; if it stays so, tell your administrator.' },
    badAnswer: { title: 'The assist gave a strange answer', body: `${ADMIN_EN}: the address may not be that of a VoiceAssist, or its version does not fit this plugin.` },
    streamLost: { title: 'The assist no longer hears the call', body: 'The audio of this call stopped reaching it. Start it again.' },
    modelUnreachable: { title: 'The language model cannot be reached', body: 'The assist tried for a while and gave up. Start it again in a moment.' },
    modelRefused: { title: 'The language model refused', body: `Try again; if it stays so: ${ADMIN_EN.toLowerCase()}.` },
    modelQuota: { title: 'The language model’s quota is used up', body: `${ADMIN_EN}: the account of the model needs a higher limit, or credit.` },
    modelMisconfigured: { title: 'The language model is not set up rightly', body: `${ADMIN_EN}: the model's name or key in the VoiceAssist is wrong.` },
    syncUnreachable: { title: 'Suggestions do not reach this page', body: 'The connection to Twilio Sync cannot be made; a firewall may block it. The assist may still be listening.' },
    syncRefused: { title: 'Suggestions do not reach this page', body: 'Twilio Sync does not accept the access token of this page. Connect again; if it stays so, tell your administrator.' },
    syncNotPermitted: { title: 'You may not read this call’s suggestions', body: 'Twilio Sync refuses them to you. Start the assist from here, or ask the agent in the call.' },
    noCallSid: { title: 'The call is not known yet', body: 'Flex does not say which call this task is. Try again in a moment.' },
    internal: { title: 'Something went wrong in this panel', body: 'The call is not affected. Try again; if it stays so, tell your administrator.' },
  },
  failed: 'The assist has failed',
  fromServer: 'From the server (in English):',
  twilioCode: (code) => `Twilio's error code: ${code}`,
  readOnly: { title: 'Read only', body: 'You are monitoring. You see what the agent sees; the agent starts and stops the assist.' },
  loading: 'Reading the suggestions of this call',
  nothingYet: { title: 'No suggestions yet', body: 'When the customer asks something, an answer appears here.' },

  start: 'Start',
  stop: 'Stop',
  pause: 'Pause',
  resume: 'Resume',
  retry: 'Try again',
  signIn: 'Sign in again',
  busy: { start: 'Starting…', stop: 'Stopping…', pause: 'Pausing…', resume: 'Resuming…' },
  alert: {
    stop: {
      stillSent: { title: 'Not stopped: the call is STILL being sent', body: 'Try to stop it again.' },
      other: { title: 'Stopping failed', body: 'Try again.' },
    },
    pause: {
      stillSent: { title: 'Not paused: the call is STILL being sent', body: 'Do not let the customer say card numbers now. Try to pause again, or stop the assist.' },
      other: { title: 'Pausing failed', body: 'Try again.' },
    },
    resume: {
      stillSent: { title: 'Resuming failed', body: 'The assist is still paused. Try again.' },
      other: { title: 'Resuming failed', body: 'The assist is still paused. Try again.' },
    },
  },
  close: 'Close this message',

  list: 'Suggestions, newest first',
  now: 'Now',
  early: 'Early draft',
  writing: 'Writing an answer…',
  noQuestion: 'Suggestion',
  newSuggestion: 'New suggestion',
  truncated: 'The end is cut off: the text was too long.',
  sources: 'Sources',
  opensInNewTab: 'opens in a new tab',
  leftOut: (categories) => `Left out: ${categories}`,
  kinds: { answer: 'Answer', warning: 'Warning', checklist: 'Checklist', compliance: 'Compliance', action: 'Next step', summary: 'Summary' },
  categories: {},

  copy: 'Copy',
  copied: 'Copied',
  insert: 'Insert',
  inserted: 'Inserted',
  insertedNowhere: 'Copied: no notes field was in use',
  useFailed: 'Did not work',
  edit: 'Edit',
  editLabel: 'Your wording',
  copyEdited: 'Copy this',
  insertEdited: 'Insert this',
  cancel: 'Cancel',
  dismiss: 'Dismiss',
  dismissed: 'Dismissed',
  undo: 'Undo',
  more: 'Actions',
  helpful: 'Helpful',
  notHelpful: 'Not helpful',
  whyNotHelpful: 'What was wrong? (optional)',
  reasons: { wrong: 'Wrong', notRelevant: 'Off topic', tooLate: 'Too late', tooLong: 'Too long', other: 'Other' },
  thanks: 'Thank you',
  feedbackFailed: 'Your feedback was not sent',
  feedbackNotMine: 'Only the agent who was given this suggestion can rate it, for some hours.',
  tryAgain: 'Send again',

  transcript: 'Transcript, newest last',
  customer: 'Customer',
  agent: 'Agent',
  noTranscript: { title: 'Nothing has been said yet', body: 'What you and the customer say appears here, unless transcripts are switched off.' },
  toNewest: 'To the newest',

  announceSuggestion: (question, answer) => (question ? `New suggestion. ${question} Answer: ${answer}` : `New suggestion: ${answer}`),
  announceUsed: {
    copied: 'Copied',
    inserted: 'Inserted into your notes',
    nowhere: 'No notes field was in use. Copied instead',
    failed: 'That did not work',
  },

  shortcuts: 'Keyboard shortcuts',
  shortcutNames: {
    copy: 'Copy the newest suggestion',
    insert: 'Insert it into the notes',
    dismiss: 'Dismiss it',
    helpful: 'It is helpful',
    notHelpful: 'It is not helpful',
    startStop: 'Start or stop the assist',
    pauseResume: 'Pause or resume the assist',
    goToPanel: 'Go to the panel, and back',
  },
  shortcutsAnywhere: 'Anywhere in Flex',
  shortcutsInCard: 'On a suggestion',
  cardKeys: {
    move: 'Next, previous suggestion',
    ends: 'Newest, oldest',
    copy: 'Copy',
    insert: 'Insert into the notes',
    edit: 'Edit',
    dismiss: 'Dismiss',
    helpful: 'Helpful',
    notHelpful: 'Not helpful',
  },
  keyNames: { ctrlShift: 'Ctrl+Shift', arrows: '↓ ↑', ends: 'Home End' },

  crashed: { title: 'This panel has stopped working', body: 'The call is not affected, and the assist may still be running.' },
  crashedRetry: 'Open the panel again',
};

const DE: Texts = {
  panel: 'Gesprächshilfe',
  tabs: { label: 'Teile der Gesprächshilfe', suggestions: 'Vorschläge', transcript: 'Mitschrift' },
  state: {
    off: 'Aus',
    starting: 'Startet',
    listening: 'Hört zu',
    paused: 'Pausiert',
    reconnecting: 'Verbindet neu',
    moved: 'Zieht um',
    failed: 'Fehler',
    notConfigured: 'Nicht eingerichtet',
  },
  pausedByHold: 'Pausiert (Halten)',
  off: {
    notStarted: { title: 'Die Hilfe ist aus', body: 'Starten Sie sie, um Vorschläge zu bekommen, während der Kunde spricht. Im Moment wird nichts von diesem Gespräch an sie gesendet.' },
    stopped: { title: 'Die Hilfe ist aus', body: 'Sie wurde beendet. Nichts von diesem Gespräch wird an sie gesendet. Sie können sie wieder starten.' },
    callEnded: { title: 'Das Gespräch ist beendet', body: 'Die Hilfe endete mit ihm. Die Vorschläge bleiben hier, bis Sie die Aufgabe abschließen.' },
  },
  starting: { title: 'Startet', body: 'Das Gespräch wird mit der Hilfe verbunden. Das dauert ein bis zwei Sekunden.' },
  listening: { title: 'Hört zu', body: 'Die Hilfe hört beide Seiten dieses Gesprächs.' },
  notes: {
    audioFormat: { title: 'Die Hilfe hört nur Rauschen', body: `${ADMIN_DE}: Das Audioformat des Modells im VoiceAssist stimmt nicht. Es werden keine Vorschläge kommen.` },
    agentTrackLost: { title: 'Die Hilfe hört Sie nicht', body: 'Sie hört den Kunden, und es kommen weiter Vorschläge. Was Sie sagen, fehlt darin und in der Mitschrift.' },
    turnBlocked: { title: 'Ein Vorschlag wurde gesperrt', body: 'Eine Richtlinie beim Dienst des Sprachmodells hat die Antwort auf die letzte Frage nicht zugelassen. Die Hilfe hört weiter zu.' },
  },
  paused: { title: 'Pausiert', body: 'Nichts von diesem Gespräch wird an die Hilfe gesendet, bis Sie fortsetzen.' },
  budgetSpent: { title: 'Das Budget ist verbraucht', body: 'Es kommen keine Vorschläge, bis die Administration es erhöht oder der nächste Tag oder Monat beginnt (00:00 UTC). Ihr Gespräch geht weiter. Nichts davon wird an die Hilfe gesendet.' },
  pausedOnHold: { title: 'Pausiert, während das Gespräch gehalten wird', body: 'Es geht von selbst weiter, wenn Sie das Gespräch zurückholen.' },
  reconnecting: {
    model: { title: 'Verbindet neu', body: 'Die Hilfe hat ihr Sprachmodell verloren und verbindet sich neu. Was inzwischen gesagt wird, wird dafür aufgehoben.' },
    sync: { title: 'Diese Seite verbindet sich neu', body: 'Die Hilfe hört weiter zu. Vorschläge aus dieser Zeit erscheinen, sobald die Seite wieder verbunden ist.' },
  },
  moved: {
    server: { title: 'Zieht auf einen anderen Server um', body: 'Das geschieht von selbst und dauert einen Moment. Die bisherigen Vorschläge bleiben.' },
    agent: { title: 'Dieses Gespräch führt jetzt jemand anderes', body: 'Die Hilfe ging mit dem Gespräch. Starten Sie sie hier nur, wenn das Gespräch zu Ihnen zurückkam.' },
  },
  notConfigured: {
    noEntry: () => ({
      title: 'Die Hilfe ist nicht eingerichtet',
      body: `${ADMIN_DE}: Flex kennt keine Adresse eines VoiceAssist. Die Plattform-Technik legt eine VoiceAssist-Ressource mit eingeschalteter Flex-Konfiguration an oder trägt die Adresse in die Konfiguration dieses Plugins ein.`,
    }),
    noQueue: (queue) => ({
      title: 'Die Hilfe ist für diese Warteschlange nicht eingerichtet',
      body: `${ADMIN_DE}: Kein VoiceAssist bedient die Warteschlange ${queue ? `„${queue}“` : 'dieser Aufgabe'}, und keiner ist die Vorgabe. Die Plattform-Technik fügt die Warteschlange einem VoiceAssist hinzu oder macht einen zur Vorgabe.`,
    }),
    badUrl: () => ({
      title: 'Die Adresse der Hilfe ist falsch',
      body: `${ADMIN_DE}: Die Adresse in der Flex-Konfiguration ist keine https-Adresse. Die Plattform-Technik sieht sich den Status der VoiceAssist-Ressource an.`,
    }),
  },
  failure: {
    unreachable: { title: 'Die Hilfe ist nicht erreichbar', body: `Vielleicht sperrt sie Ihr Netz oder eine Firewall. Versuchen Sie es noch einmal; bleibt es so: ${ADMIN_DE}.` },
    timedOut: { title: 'Die Hilfe hat nicht geantwortet', body: 'Vielleicht ist sie überlastet. Versuchen Sie es gleich noch einmal.' },
    signedOut: { title: 'Flex hat Sie abgemeldet', body: 'Melden Sie sich bei Flex neu an und starten Sie dann die Hilfe.' },
    notAWorker: { title: 'Sie sind nicht als Worker eingerichtet', body: `${ADMIN_DE}: Twilio kennt keinen Worker zu Ihrem Flex-Benutzer.` },
    notYourCall: { title: 'Dieses Gespräch gehört Ihnen noch nicht', body: 'Laut Twilio führen Sie dieses Gespräch nicht. Nehmen Sie es an und versuchen Sie es dann noch einmal.' },
    notRunning: { title: 'Für dieses Gespräch läuft nichts', body: 'Wer das Gespräch führt, hat die Hilfe nicht gestartet. Versuchen Sie es wieder, wenn sie läuft.' },
    otherAgent: { title: 'Dieses Gespräch führt jemand anderes', body: 'Das kann nur, wer das Gespräch führt.' },
    originRefused: { title: 'Diese Flex-Seite ist nicht zugelassen', body: `${ADMIN_DE}: Die Adresse dieser Seite muss bei functions.allowedOrigins des VoiceAssist stehen.` },
    callEnded: { title: 'Das Gespräch ist beendet', body: `Twilio kennt kein solches laufendes Gespräch. Ist der Anrufer noch in der Leitung: ${ADMIN_DE}.` },
    tooManyStreams: { title: 'Zu viele hören bei diesem Gespräch mit', body: 'Alle Audio-Ströme dieses Gesprächs sind belegt, etwa durch eine Aufnahme oder einen anderen Assistenten. Beenden Sie einen davon und versuchen Sie es noch einmal.' },
    callLimit: { title: 'Mehr Gespräche dürfen die Hilfe nicht haben', body: `Starten Sie sie wieder, wenn ein anderes Gespräch beendet ist. Kommt das oft vor: ${ADMIN_DE}.` },
    tooManyRequests: { title: 'Zu oft gefragt', body: 'Warten Sie ein paar Sekunden und versuchen Sie es dann noch einmal.' },
    busy: { title: 'Die Hilfe ist überlastet', body: 'Versuchen Sie es gleich noch einmal.' },
    serverSetup: { title: 'Die Hilfe ist nicht vollständig eingerichtet', body: `${ADMIN_DE}: Zugangsdaten oder eine Adresse des Servers fehlen oder werden abgelehnt.` },
    serverError: { title: 'Die Hilfe hat versagt', body: `Der Server konnte es nicht. Versuchen Sie es noch einmal; bleibt es so: ${ADMIN_DE}.` },
    badAnswer: { title: 'Die Hilfe hat seltsam geantwortet', body: `${ADMIN_DE}: Die Adresse gehört vielleicht zu keinem VoiceAssist, oder seine Version passt nicht zu diesem Plugin.` },
    streamLost: { title: 'Die Hilfe hört das Gespräch nicht mehr', body: 'Der Ton dieses Gesprächs kommt nicht mehr bei ihr an. Starten Sie sie neu.' },
    modelUnreachable: { title: 'Das Sprachmodell ist nicht erreichbar', body: 'Die Hilfe hat es eine Weile versucht und aufgegeben. Starten Sie sie gleich noch einmal.' },
    modelRefused: { title: 'Das Sprachmodell hat abgelehnt', body: `Versuchen Sie es noch einmal; bleibt es so: ${ADMIN_DE}.` },
    modelQuota: { title: 'Das Kontingent des Sprachmodells ist verbraucht', body: `${ADMIN_DE}: Das Konto des Modells braucht eine höhere Grenze oder Guthaben.` },
    modelMisconfigured: { title: 'Das Sprachmodell ist falsch eingerichtet', body: `${ADMIN_DE}: Name oder Schlüssel des Modells im VoiceAssist stimmen nicht.` },
    syncUnreachable: { title: 'Vorschläge erreichen diese Seite nicht', body: 'Die Verbindung zu Twilio Sync kommt nicht zustande; vielleicht sperrt sie eine Firewall. Die Hilfe hört womöglich weiter zu.' },
    syncRefused: { title: 'Vorschläge erreichen diese Seite nicht', body: `Twilio Sync nimmt den Zugang dieser Seite nicht an. Verbinden Sie neu; bleibt es so: ${ADMIN_DE}.` },
    syncNotPermitted: { title: 'Sie dürfen die Vorschläge dieses Gesprächs nicht lesen', body: 'Twilio Sync verweigert sie Ihnen. Starten Sie die Hilfe von hier oder fragen Sie, wer das Gespräch führt.' },
    noCallSid: { title: 'Das Gespräch ist noch nicht bekannt', body: 'Flex sagt nicht, welches Gespräch diese Aufgabe ist. Versuchen Sie es gleich noch einmal.' },
    internal: { title: 'In diesem Fenster ging etwas schief', body: `Das Gespräch ist nicht betroffen. Versuchen Sie es noch einmal; bleibt es so: ${ADMIN_DE}.` },
  },
  failed: 'Die Hilfe hat versagt',
  fromServer: 'Vom Server (auf Englisch):',
  twilioCode: (code) => `Fehlernummer von Twilio: ${code}`,
  readOnly: { title: 'Nur lesen', body: 'Sie hören mit. Sie sehen, was der Agent sieht; der Agent startet und beendet die Hilfe.' },
  loading: 'Die Vorschläge dieses Gesprächs werden gelesen',
  nothingYet: { title: 'Noch keine Vorschläge', body: 'Wenn der Kunde etwas fragt, erscheint hier eine Antwort.' },

  start: 'Starten',
  stop: 'Beenden',
  pause: 'Pausieren',
  resume: 'Fortsetzen',
  retry: 'Noch einmal',
  signIn: 'Neu anmelden',
  busy: { start: 'Startet…', stop: 'Wird beendet…', pause: 'Pausiert…', resume: 'Setzt fort…' },
  alert: {
    stop: {
      stillSent: { title: 'Nicht beendet: Das Gespräch wird WEITER gesendet', body: 'Versuchen Sie noch einmal, sie zu beenden.' },
      other: { title: 'Beenden ist misslungen', body: 'Versuchen Sie es noch einmal.' },
    },
    pause: {
      stillSent: { title: 'Nicht pausiert: Das Gespräch wird WEITER gesendet', body: 'Lassen Sie den Kunden jetzt keine Kartennummern nennen. Pausieren Sie noch einmal oder beenden Sie die Hilfe.' },
      other: { title: 'Pausieren ist misslungen', body: 'Versuchen Sie es noch einmal.' },
    },
    resume: {
      stillSent: { title: 'Fortsetzen ist misslungen', body: 'Die Hilfe ist noch pausiert. Versuchen Sie es noch einmal.' },
      other: { title: 'Fortsetzen ist misslungen', body: 'Die Hilfe ist noch pausiert. Versuchen Sie es noch einmal.' },
    },
  },
  close: 'Diese Meldung schließen',

  list: 'Vorschläge, die neuesten zuerst',
  now: 'Jetzt',
  early: 'Früher Entwurf',
  writing: 'Schreibt eine Antwort…',
  noQuestion: 'Vorschlag',
  newSuggestion: 'Neuer Vorschlag',
  truncated: 'Das Ende fehlt: Der Text war zu lang.',
  sources: 'Quellen',
  opensInNewTab: 'öffnet einen neuen Tab',
  leftOut: (categories) => `Ausgelassen: ${categories}`,
  kinds: { answer: 'Antwort', warning: 'Warnung', checklist: 'Checkliste', compliance: 'Vorschrift', action: 'Nächster Schritt', summary: 'Zusammenfassung' },
  categories: { 'card number': 'Kartennummer', email: 'E-Mail-Adresse', 'phone number': 'Telefonnummer', iban: 'IBAN', 'date of birth': 'Geburtsdatum' },

  copy: 'Kopieren',
  copied: 'Kopiert',
  insert: 'Einfügen',
  inserted: 'Eingefügt',
  insertedNowhere: 'Kopiert: kein Notizfeld war in Gebrauch',
  useFailed: 'Ging nicht',
  edit: 'Bearbeiten',
  editLabel: 'Ihr Wortlaut',
  copyEdited: 'Dies kopieren',
  insertEdited: 'Dies einfügen',
  cancel: 'Abbrechen',
  dismiss: 'Verwerfen',
  dismissed: 'Verworfen',
  undo: 'Rückgängig',
  more: 'Aktionen',
  helpful: 'Hilfreich',
  notHelpful: 'Nicht hilfreich',
  whyNotHelpful: 'Was war falsch? (freiwillig)',
  reasons: { wrong: 'Falsch', notRelevant: 'Am Thema vorbei', tooLate: 'Zu spät', tooLong: 'Zu lang', other: 'Anderes' },
  thanks: 'Danke',
  feedbackFailed: 'Ihre Bewertung wurde nicht gesendet',
  feedbackNotMine: 'Bewerten kann diesen Vorschlag nur, wer ihn bekommen hat, und nur einige Stunden lang.',
  tryAgain: 'Noch einmal senden',

  transcript: 'Mitschrift, das Neueste zuletzt',
  customer: 'Kunde',
  agent: 'Agent',
  noTranscript: { title: 'Noch wurde nichts gesagt', body: 'Was Sie und der Kunde sagen, erscheint hier, sofern Mitschriften nicht ausgeschaltet sind.' },
  toNewest: 'Zum Neuesten',

  announceSuggestion: (question, answer) => (question ? `Neuer Vorschlag. ${question} Antwort: ${answer}` : `Neuer Vorschlag: ${answer}`),
  announceUsed: {
    copied: 'Kopiert',
    inserted: 'In Ihre Notizen eingefügt',
    nowhere: 'Kein Notizfeld war in Gebrauch. Stattdessen kopiert',
    failed: 'Das ging nicht',
  },

  shortcuts: 'Tastenkürzel',
  shortcutNames: {
    copy: 'Neuesten Vorschlag kopieren',
    insert: 'In die Notizen einfügen',
    dismiss: 'Verwerfen',
    helpful: 'Ist hilfreich',
    notHelpful: 'Ist nicht hilfreich',
    startStop: 'Hilfe starten oder beenden',
    pauseResume: 'Hilfe pausieren oder fortsetzen',
    goToPanel: 'Zu den Vorschlägen und zurück',
  },
  shortcutsAnywhere: 'Überall in Flex',
  shortcutsInCard: 'Auf einem Vorschlag',
  cardKeys: {
    move: 'Nächster, voriger Vorschlag',
    ends: 'Neuester, ältester',
    copy: 'Kopieren',
    insert: 'In die Notizen einfügen',
    edit: 'Bearbeiten',
    dismiss: 'Verwerfen',
    helpful: 'Hilfreich',
    notHelpful: 'Nicht hilfreich',
  },
  keyNames: { ctrlShift: 'Strg+Umschalt', arrows: '↓ ↑', ends: 'Pos1 Ende' },

  crashed: { title: 'Dieses Fenster arbeitet nicht mehr', body: 'Das Gespräch ist nicht betroffen, und die Hilfe läuft womöglich weiter.' },
  crashedRetry: 'Fenster neu öffnen',
};

const LANGUAGES: Readonly<Record<string, Texts>> = { en: EN, de: DE };

/** The texts for a BCP 47 tag, by its language alone; English where there is none. */
export function textsFor(language: string): Texts {
  return LANGUAGES[language.toLowerCase().split(/[-_]/)[0] ?? ''] ?? EN;
}

/** The tag that dates and the `lang` attribute take: the user's own if there are texts for it. */
export function languageOf(language: string): string {
  return textsFor(language) === EN && !/^en\b/i.test(language) ? 'en' : language.replace('_', '-');
}
